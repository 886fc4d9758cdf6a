//! The arms of one request.

use std::{collections::BTreeMap, sync::Arc};

use plugrank_contract::{FeatureValue, User};
use plugrank_experiments::{Assignment, ForcedError, Subject, SubjectFeature, UserFeatures};

use super::{ArmChange, Experiments, Running};

/// The arms a request got, and what they change together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arms {
    pub(crate) list: Vec<GivenArm>,
    pub(crate) change: ArmChange,
}

/// An arm of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenArm {
    pub(crate) layer: String,
    pub(crate) experiment: String,
    pub(crate) arm: String,
    /// Given by name, so that it is no part of results.
    pub(crate) forced: bool,
}

/// Whom the arms are for.
pub(crate) struct Who<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) surface: &'a str,
    /// The profile, where an experiment asks for it and the store has it.
    pub(crate) profile: Option<Arc<User>>,
}

impl Arms {
    /// `layer=arm`, with commas between: an attribute of spans.
    pub(crate) fn to_text(&self) -> String {
        let arms = self.list.iter().map(|given| format!("{}={}", given.layer, given.arm));
        arms.collect::<Vec<_>>().join(",")
    }
}

impl Running {
    /// Whether a profile is worth reading before [`Self::arms`].
    pub(crate) fn asks_for_features(&self) -> bool {
        self.asks_for_features
    }

    /// The arms of a request; those the caller names go before what is dealt.
    pub(crate) fn arms(
        &self,
        who: &Who<'_>,
        forced: &BTreeMap<String, String>,
    ) -> Result<Arms, ForcedError> {
        let profile = Profile(who.profile.as_deref());
        let subject = Subject {
            user_id: who.user_id,
            request_id: who.request_id,
            surface: who.surface,
            features: &profile,
        };
        let assigned = match forced.is_empty() {
            true => self.assigner.assign(&subject),
            false => self.assigner.assign_forced(&subject, forced)?,
        };
        let mut arms = Arms::default();
        for Assignment { layer, experiment, arm, forced } in assigned {
            arms.change = std::mem::take(&mut arms.change).and(ArmChange::from_arm(arm));
            arms.list.push(GivenArm {
                layer: layer.name.clone(),
                experiment: experiment.name.clone(),
                arm: arm.name.clone(),
                forced,
            });
        }
        Ok(arms)
    }
}

impl Experiments {
    /// Whether there is any experiment, so that a request without one costs nothing.
    pub(crate) fn none(&self) -> bool {
        self.running.load().definitions().experiments.is_empty()
    }
}

/// Features of a user, as experiments ask for them.
struct Profile<'a>(Option<&'a User>);

impl UserFeatures for Profile<'_> {
    fn feature(&self, name: &str) -> Option<SubjectFeature<'_>> {
        Some(match self.0?.features.get(name)? {
            FeatureValue::Text(text) => SubjectFeature::Text(text),
            FeatureValue::Number(number) => SubjectFeature::Number(number.as_f64()),
            FeatureValue::Texts(texts) => {
                SubjectFeature::Texts(texts.iter().map(|text| &**text).collect())
            }
            // A condition is on one number, or on texts.
            FeatureValue::Numbers(_) => return None,
        })
    }
}
