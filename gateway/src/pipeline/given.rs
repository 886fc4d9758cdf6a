//! Feature values that a request brings with it.

use std::{collections::HashMap, sync::Arc};

use plugrank_contract::{
    FeatureValues, HistoryEntry, ItemId, ItemList,
    scoring::{GivenCandidateFeatures, GivenFeatures},
};

use crate::api::rank::Candidate;

/// Feature values that a request brings with it.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    request: FeatureValues,
    user: FeatureValues,
    /// What the user did, in place of what is stored of it.
    recent: Option<Arc<[HistoryEntry]>>,
    /// By item, with its place in the caller's list.
    candidates: HashMap<ItemId, GivenCandidateFeatures>,
}

impl Given {
    /// `None` where all of it is empty. Of a candidate that is named twice, the last one counts.
    pub(crate) fn from_request(
        request: FeatureValues,
        user: FeatureValues,
        recent: Option<Arc<[HistoryEntry]>>,
        candidates: Option<Vec<Candidate<'_>>>,
    ) -> Option<Self> {
        let given = candidates.into_iter().flatten().zip(0..).filter_map(|(candidate, place)| {
            match candidate {
                Candidate::Given(given) if !given.features.is_empty() => {
                    let features = Arc::new(given.features);
                    Some((
                        ItemId::from(&*given.item_id.0),
                        GivenCandidateFeatures { place, features },
                    ))
                }
                _ => None,
            }
        });
        let candidates: HashMap<_, _> = given.collect();
        let empty = request.is_empty() && user.is_empty() && candidates.is_empty();
        let empty = empty && recent.is_none();
        (!empty).then_some(Self { request, user, recent, candidates })
    }

    /// What the user did, where the request says so.
    pub(crate) fn recent(&self) -> Option<&Arc<[HistoryEntry]>> {
        self.recent.as_ref()
    }

    /// Features of the request.
    pub(crate) fn request(&self) -> &FeatureValues {
        &self.request
    }

    /// Features of a candidate, where some are given.
    pub(crate) fn of_candidate(&self, item: &ItemId) -> Option<&FeatureValues> {
        self.candidates.get(item).map(|given| &*given.features)
    }

    /// As scoring reads it, for these candidates.
    pub(crate) fn for_items(&self, items: &ItemList) -> Arc<GivenFeatures> {
        let candidates = match self.candidates.is_empty() {
            true => Vec::new(),
            false => {
                let nothing = GivenCandidateFeatures::default();
                let given = |id| self.candidates.get(id).unwrap_or(&nothing).clone();
                items.ids().map(given).collect()
            }
        };
        Arc::new(GivenFeatures {
            request: self.request.clone(),
            user: self.user.clone(),
            recent: self.recent.clone(),
            candidates,
        })
    }
}
