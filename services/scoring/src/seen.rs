//! How often what requests are scored by has a value, and one that the model knows: to be held against what training
//! saw.

use std::sync::{Arc, OnceLock};

use plugrank_bundle::{
    Bundle, FeatureEncoder,
    features::{Feature, Observed, Presence, Seen, SeenFeatures},
};
use plugrank_contract::{FeatureValues, UserRead, scoring::Score};
use plugrank_items::{FeatureColumn, ItemTable};

/// Candidates of a request that are looked at.
const LOOKED_AT: usize = 4;

/// What was found of each feature since the start.
#[derive(Debug)]
pub(crate) struct SeenInRequests {
    item: Of,
    user: Of,
    request: Of,
    candidate: Of,
}

#[derive(Debug)]
struct Of {
    features: Vec<Feature>,
    seen: SeenFeatures,
    /// Of items: where a feature's column is in the table.
    places: Vec<OnceLock<usize>>,
}

impl Of {
    fn new(features: &[Feature]) -> Self {
        Self {
            features: features.to_vec(),
            seen: SeenFeatures::new(features.len()),
            places: features.iter().map(|_| OnceLock::new()).collect(),
        }
    }
}

/// What was found of a feature since the start, and what training saw of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSeen {
    /// `item`, `user`, `request` or `candidate`.
    pub of: &'static str,
    /// Its name.
    pub feature: String,
    /// What was found.
    pub seen: Seen,
    /// What training saw, where the manifest says.
    pub trained: Option<Observed>,
}

impl SeenInRequests {
    pub(crate) fn new(bundle: &Bundle) -> Self {
        let features = &bundle.manifest().features;
        Self {
            item: Of::new(&features.item),
            user: Of::new(&features.user),
            request: Of::new(&features.request),
            candidate: Of::new(&features.candidate),
        }
    }

    /// Looks at a request that is scored, and at a few of its candidates.
    pub(crate) fn note(&self, call: &Score, items: &Arc<ItemTable>, features: &FeatureColumn) {
        let encoder = features.encoder();
        let nothing = FeatureValues::new();
        let given = call.given.as_deref();
        if let UserRead::Read(user) = &call.user {
            let seen = |feature, presence| self.user.seen.add(feature, presence);
            encoder.see_user(&call.user_id, user.profile.as_deref(), seen);
        }
        let seen = |feature, presence| self.request.seen.add(feature, presence);
        encoder.see_request(given.map_or(&nothing, |given| &given.request), call.as_of, seen);
        let step = call.items.len().div_ceil(LOOKED_AT).max(1);
        if !self.candidate.features.is_empty() {
            for place in (0..call.items.len()).step_by(step) {
                let candidate = given.and_then(|given| given.candidates.get(place));
                let values = candidate.map_or(&nothing, |candidate| &candidate.features);
                let seen = |feature, presence| self.candidate.seen.add(feature, presence);
                encoder.see_candidate(values, seen);
            }
        }
        self.note_items(call, step, items, features, encoder);
    }

    fn note_items(
        &self,
        call: &Score,
        step: usize,
        items: &Arc<ItemTable>,
        features: &FeatureColumn,
        encoder: &FeatureEncoder,
    ) {
        let (view, rows) = (items.view(), features.view());
        let indices = call.items.indices_in(items);
        for index in indices.iter().step_by(step) {
            let Some(row) = rows.row(*index) else { continue };
            let has_number = |feature: usize| {
                let (known, place) =
                    (self.item.features.get(feature)?, self.item.places.get(feature)?);
                let place = match place.get() {
                    Some(place) => *place,
                    // A column comes with the first item that has it, and then stays where it is.
                    None => {
                        let found = view.column_place(known.column()?)?;
                        *place.get_or_init(|| found)
                    }
                };
                Some(view.has_value(place, *index))
            };
            encoder.see_item_row(row, has_number, |feature, presence: Presence| {
                self.item.seen.add(feature, presence);
            });
        }
    }

    /// What was found since the start.
    pub(crate) fn read(&self) -> Vec<FeatureSeen> {
        let all = [
            ("item", &self.item),
            ("user", &self.user),
            ("request", &self.request),
            ("candidate", &self.candidate),
        ];
        let of = |(of, found): (&'static str, &Of)| {
            let features = found.features.iter().zip(found.seen.read());
            let found: Vec<FeatureSeen> = features
                .map(|(feature, seen)| FeatureSeen {
                    of,
                    feature: feature.name.clone(),
                    seen,
                    trained: feature.observed,
                })
                .collect();
            found
        };
        all.into_iter().flat_map(of).collect()
    }
}
