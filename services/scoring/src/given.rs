//! What a request says of its situation, its user and its candidates.

use std::{borrow::Cow, sync::Arc};

use plugrank_bundle::features::WrongValue;
use plugrank_contract::{
    CallError, Deadline, FeatureValues, UserRead,
    scoring::{GivenCandidateFeatures, GivenFeatures, Score},
};

use crate::{ScoringService, scorer::Scorer};

impl ScoringService {
    /// Refuses values that their features cannot have. The message begins with the field's place in
    /// the request.
    pub(crate) fn check_given(&self, call: &Score) -> Result<(), CallError> {
        let Some(given) = &call.given else { return Ok(()) };
        let encoder = self.features.encoder();
        let refused = |place: &str, wrong: Option<WrongValue>| match wrong {
            None => Ok(()),
            Some(WrongValue { column, detail }) => {
                Err(CallError::invalid(format!("{place}.{column}: {detail}")))
            }
        };
        refused("context.features", encoder.wrong_request(&given.request))?;
        refused("user.features", encoder.wrong_user(&given.user))?;
        let value = self.values.for_call(call.value.as_ref()).ok().flatten();
        for GivenCandidateFeatures { place, features } in &given.candidates {
            let of_value = || value.as_ref().and_then(|value| value.wrong_candidate(features));
            if let Some(wrong) = encoder.wrong_candidate(features).or_else(of_value) {
                refused(&format!("candidates[{place}].features"), Some(wrong))?;
            }
        }
        Ok(())
    }

    /// The call with what it says of the user put over what is stored of them.
    pub(crate) async fn with_given_user<'c>(
        &self,
        call: &'c Score,
        deadline: Deadline,
    ) -> Cow<'c, Score> {
        let says = |given: &&Arc<GivenFeatures>| !given.user.is_empty() || given.recent.is_some();
        let Some(given) = call.given.as_ref().filter(says) else { return Cow::Borrowed(call) };
        let (view, late) = self.users.read(&call.user_id, call.as_of, &call.user, deadline).await;
        let user = match late {
            None => {
                let user = view.with_features(&given.user);
                let recent = given.recent.as_ref().map(|recent| user.with_history(recent));
                UserRead::Read(Arc::new(recent.unwrap_or(user)))
            }
            Some(why) => UserRead::Failed(why),
        };
        Cow::Owned(Score { user, ..call.clone() })
    }

    /// The row of the request's features, where the graph of `scorer` reads any.
    pub(crate) fn request_features(&self, scorer: &Scorer, call: &Score) -> Box<[u32]> {
        if !scorer.schema.request_features() {
            return Box::default();
        }
        let nothing = FeatureValues::new();
        let given = call.given.as_ref().map_or(&nothing, |given| &given.request);
        self.features.encoder().request(given, call.as_of)
    }

    /// The rows of what was given of the candidates, where the graph of `scorer` reads any.
    pub(crate) fn given_rows(&self, scorer: &Scorer, call: &Score) -> Vec<u32> {
        if !scorer.schema.given_features() {
            return Vec::new();
        }
        let encoder = self.features.encoder();
        let nothing = FeatureValues::new();
        let given =
            call.given.as_deref().map_or(&[][..], |given: &GivenFeatures| &given.candidates);
        let mut rows = Vec::with_capacity(encoder.candidate_width() * call.items.len());
        for place in 0..call.items.len() {
            let values = given.get(place).map_or(&nothing, |candidate| &candidate.features);
            encoder.push_candidate(values, &mut rows);
        }
        rows
    }
}
