//! What the log keeps of a served list.

use plugrank_contract::{ExposedArm, ExposedItem, Exposure, TimestampMs};
use plugrank_store::codec;
use uuid::Uuid;

use crate::{
    api::rank::Coverage,
    experiments::{Arms, GivenArm},
    pipeline::{CandidateSet, Given, Placed, RankQuery, Ranked},
};

/// A request that was answered.
pub(crate) struct Served<'a> {
    pub(crate) request_id: Uuid,
    pub(crate) at: TimestampMs,
    pub(crate) query: &'a RankQuery,
    pub(crate) ranked: &'a Ranked,
    pub(crate) arms: &'a Arms,
    /// Whether the request named its arms.
    pub(crate) forced_arms: bool,
}

impl Served<'_> {
    /// The exposure; without items where nothing could be ranked.
    pub(crate) fn exposure(&self) -> Exposure {
        let set = self.ranked.ranking.as_ref().ok();
        let arm = |given: &GivenArm| ExposedArm {
            layer: given.layer.clone(),
            experiment: given.experiment.clone(),
            arm: given.arm.clone(),
        };
        let given = self.query.given.as_ref();
        Exposure {
            request_id: self.request_id.to_string(),
            timestamp: self.at,
            user_id: self.query.user_id.clone(),
            surface: Some(&*self.query.shown_on.name)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            arms: self.arms.list.iter().map(arm).collect(),
            forced_arms: self.forced_arms || self.arms.list.iter().any(|given| given.forced),
            bundle: set.and_then(|set| set.model.as_deref()).map(str::to_owned),
            rung: self.ranked.rung().as_str().to_owned(),
            degraded: self.ranked.is_degraded(),
            late: self.ranked.spent > self.ranked.total,
            failed: set.is_none(),
            coverage: set.map_or(0.0, |set| coverage(&set.coverage)),
            features: given.map(|given| given.request().clone()).unwrap_or_default(),
            tasks: set
                .iter()
                .flat_map(|set| set.scores.iter().map(|task| task.task.to_string()))
                .collect(),
            items: set
                .iter()
                .flat_map(|set| set.places.iter().filter_map(|placed| item(set, placed, given)))
                .collect(),
            rerank: set
                .and_then(|set| set.reranked.as_ref())
                .map(codec::encode)
                .unwrap_or_default(),
        }
    }
}

/// Share of the scored candidates whose vectors were there; all of none.
fn coverage(of: &Coverage) -> f32 {
    let rows = of.memory + of.store + of.encoded + of.missing;
    if rows == 0 { 1.0 } else { 1.0 - of.missing as f32 / rows as f32 }
}

fn item(set: &CandidateSet, placed: &Placed, given: Option<&Given>) -> Option<ExposedItem> {
    let item_id = set.id(placed)?.clone();
    let place = placed.candidate as usize;
    let features = given.and_then(|given| given.of_candidate(&item_id));
    Some(ExposedItem {
        score: placed.score,
        ctr: set.ctr_of(placed),
        scores: set
            .scores
            .iter()
            .filter_map(|task| task.probabilities.get(place).copied())
            .collect(),
        propensity: placed.propensity,
        features: features.cloned().unwrap_or_default(),
        item_id,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{sync::Arc, time::Duration};

    use plugrank_contract::{ItemList, scoring::TaskScores};

    use super::*;

    /// Two of three candidates, shown to a user.
    pub(crate) fn served<T>(user: &str, with: impl FnOnce(&Served<'_>) -> T) -> T {
        let items: ItemList = ["a", "b", "c"].map(Into::into).into_iter().collect();
        let place = |candidate, score| Placed {
            candidate,
            score: Some(score),
            rule: "ranked".into(),
            propensity: Some(0.5),
        };
        let set = CandidateSet {
            items,
            ctr: Some(Arc::from([0.1, 0.2, 0.3])),
            scores: vec![TaskScores {
                task: "purchase".into(),
                probabilities: Arc::from([0.01, 0.02, 0.03]),
            }],
            model: Some("v1".into()),
            places: vec![place(2, 0.9), place(0, 0.4)],
            ..CandidateSet::default()
        };
        let ranked = Ranked {
            ranking: Ok(set),
            degraded: Vec::new(),
            stages: Vec::new(),
            total: Duration::ZERO,
            spent: Duration::ZERO,
        };
        let query = RankQuery {
            user_id: user.into(),
            surface: Arc::new(crate::surface::tests::surface("home-b")),
            shown_on: Arc::new(crate::surface::tests::surface("home")),
            shown: Arc::default(),
            context: ItemList::default(),
            diversity: None,
            k: 2,
            candidates: None,
            exclude: ItemList::default(),
            given: None,
            filters: Vec::new(),
            as_of: 5,
            budget: Duration::ZERO,
            rung: None,
            explain: false,
        };
        let list = vec![GivenArm {
            layer: "model".to_owned(),
            experiment: "two".to_owned(),
            arm: "b".to_owned(),
            forced: false,
        }];
        let arms = Arms { list, ..Arms::default() };
        let (query, ranked, arms) = (&query, &ranked, &arms);
        with(&Served { request_id: Uuid::nil(), at: 7, query, ranked, arms, forced_arms: false })
    }

    #[test]
    fn an_exposure_keeps_order_and_scores_of_its_items() {
        let exposure = served("u", |served| served.exposure());
        assert_eq!((exposure.user_id.as_str(), exposure.timestamp), ("u", 7));
        let arm = ExposedArm { layer: "model".into(), experiment: "two".into(), arm: "b".into() };
        assert_eq!(exposure.arms, [arm]);
        assert!(!exposure.forced_arms && !exposure.late && !exposure.degraded && !exposure.failed);
        assert_eq!((exposure.bundle.as_deref(), exposure.rung.as_str()), (Some("v1"), "full"));
        assert_eq!(exposure.surface.as_deref(), Some("home"));
        assert_eq!(exposure.items[0].propensity, Some(0.5));
        assert_eq!(exposure.tasks, ["purchase"]);
        let items: Vec<_> = exposure
            .items
            .iter()
            .map(|item| (item.item_id.as_str(), item.score, item.ctr, item.scores.as_slice()))
            .collect();
        assert_eq!(
            items,
            [("c", Some(0.9), Some(0.3), &[0.03][..]), ("a", Some(0.4), Some(0.1), &[0.01]),]
        );
        let failed = Ranked {
            ranking: Err(plugrank_contract::CallError::internal("x")),
            degraded: Vec::new(),
            stages: Vec::new(),
            total: Duration::ZERO,
            spent: Duration::ZERO,
        };
        let failed = served("u", |served| Served { ranked: &failed, ..*served }.exposure());
        assert_eq!((failed.failed, failed.items.len(), failed.arms.len()), (true, 0, 1));
    }
}
