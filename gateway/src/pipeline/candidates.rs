//! The candidate set: one column a property, filled by the stages one after another.

use std::{borrow::Cow, sync::Arc};

use plugrank_budget::Rung;
use plugrank_contract::{
    ItemId, ItemList, UserRead,
    reranking::{Move, RankFacts, Rerank},
    retrieval::{Dropped, Name, SourceNames, SourceSet},
    scoring::{ModelKind, TaskScores, Valued},
};

use crate::api::rank::Coverage;

/// Candidates of one request. A candidate is its place in `items`.
#[derive(Debug, Default)]
pub(crate) struct CandidateSet {
    /// By retrieval: the candidates, in its order.
    pub(crate) items: ItemList,
    /// By retrieval: what the bits of `sources` stand for.
    pub(crate) source_names: SourceNames,
    /// By retrieval: the sources of each candidate.
    pub(crate) sources: Vec<SourceSet>,
    /// By retrieval: the user, where it has read them.
    pub(crate) user: UserRead,
    /// By retrieval, for explain: what was left out and why.
    pub(crate) dropped: Vec<Dropped>,
    /// By scoring: calibrated click probability of each candidate.
    pub(crate) ctr: Option<Arc<[f32]>>,
    /// By scoring: the probabilities of each task, where the model has several.
    pub(crate) scores: Vec<TaskScores>,
    /// By scoring: what the candidates are worth, where a formula says so.
    pub(crate) value: Option<Valued>,
    /// By scoring: which model scored.
    pub(crate) kind: Option<ModelKind>,
    /// By scoring, for explain: the user, as they were scored.
    pub(crate) user_read: UserRead,
    /// By scoring, for a re-ranking role without an item table: what its rules read.
    pub(crate) facts: Option<Arc<RankFacts>>,
    /// By scoring: version of the bundle that scored.
    pub(crate) model: Option<Arc<str>>,
    /// By scoring, for explain: rows of the batch.
    pub(crate) batch_rows: u32,
    /// By re-ranking, or what stands in for it: at most k places, first to last.
    pub(crate) places: Vec<Placed>,
    /// By re-ranking, where the request is logged in full: what it was asked.
    pub(crate) reranked: Option<Rerank>,
    /// By re-ranking, for explain: of each place the place by value, and what moved it from there.
    pub(crate) moves: Vec<(u32, Vec<Move>)>,
    /// For explain: of each place the probabilities of each task without the pre-trained model.
    pub(crate) without_ppm: Vec<TaskScores>,
    /// What was ranked, and how many vectors were available.
    pub(crate) coverage: Coverage,
}

/// A candidate at its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    /// Which candidate.
    pub(crate) candidate: u32,
    /// What the order goes by.
    pub(crate) score: Option<f32>,
    /// What put it there: a rule, or the rung the order comes from.
    pub(crate) rule: Name,
    /// With which probability, given the places before; `None` where nothing is drawn.
    pub(crate) propensity: Option<f32>,
}

impl CandidateSet {
    /// The id of a placed candidate.
    pub(crate) fn id(&self, placed: &Placed) -> Option<&ItemId> {
        self.items.id_at(placed.candidate as usize)
    }

    /// The click probability of a placed candidate.
    pub(crate) fn ctr_of(&self, placed: &Placed) -> Option<f32> {
        self.ctr.as_ref()?.get(placed.candidate as usize).copied()
    }

    /// What each candidate is worth: its value by the formula, else its click probability. `None` where it was
    /// not scored.
    pub(crate) fn worth(&self) -> Option<&Arc<[f32]>> {
        self.value.as_ref().map(|value| &value.values).or(self.ctr.as_ref())
    }

    /// The first `k` candidates as retrieval ordered them.
    pub(crate) fn place_as_retrieved(&mut self, k: u32) {
        let rule = Cow::Borrowed(Rung::RetrievalOrder.as_str());
        let count = u32::try_from(self.items.len()).unwrap_or(u32::MAX).min(k);
        let place =
            |candidate| Placed { candidate, score: None, rule: rule.clone(), propensity: None };
        self.places = (0..count).map(place).collect();
    }

    /// The `k` candidates that are worth most, those without a finite worth last; among equals retrieval's
    /// order.
    pub(crate) fn place_by_worth(&mut self, k: u32) {
        let Some(worth) = self.worth() else { return self.place_as_retrieved(k) };
        let mut order: Vec<u32> = (0..).take(worth.len()).collect();
        let finite =
            |candidate: u32| Some(worth[candidate as usize]).filter(|worth| worth.is_finite());
        let sunk = |candidate: u32| finite(candidate).unwrap_or(f32::NEG_INFINITY);
        let by_worth = |a: &u32, b: &u32| sunk(*b).total_cmp(&sunk(*a)).then_with(|| a.cmp(b));
        let k = k as usize;
        // Only the first k have to be in order.
        if k > 0 && k < order.len() {
            order.select_nth_unstable_by(k - 1, by_worth);
            order.truncate(k);
        }
        order.sort_unstable_by(by_worth);
        let rule = Cow::Borrowed(Rung::CtrOrder.as_str());
        let place = |candidate: u32| Placed {
            candidate,
            score: finite(candidate),
            rule: rule.clone(),
            propensity: None,
        };
        let places = order.into_iter().map(place).collect();
        self.places = places;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_sort_by_score_and_ties_keep_retrieval_order() {
        let mut set = CandidateSet {
            items: ["a", "b", "c", "d"].map(ItemId::from).to_vec().into(),
            ctr: Some(Arc::from([0.2, 0.5, 0.2, 0.9])),
            ..CandidateSet::default()
        };
        let order = |set: &CandidateSet| {
            set.places.iter().map(|placed| set.id(placed).unwrap().to_string()).collect::<Vec<_>>()
        };
        for (k, expected) in [(3, vec!["d", "b", "a"]), (9, vec!["d", "b", "a", "c"])] {
            set.place_by_worth(k);
            assert_eq!(order(&set), expected);
        }
        assert_eq!(set.places[0].score, Some(0.9));
        set.ctr = Some(Arc::from([0.2, f32::NAN, f32::INFINITY, 0.9]));
        set.place_by_worth(9);
        assert_eq!(order(&set), ["d", "a", "b", "c"], "NaN sorts last");
        assert_eq!(set.places[2].score, None);
        set.place_as_retrieved(2);
        assert_eq!((order(&set), set.places[0].score), (vec!["a".into(), "b".into()], None));
    }
}
