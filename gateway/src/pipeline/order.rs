//! Items at their places, and the orders to fall back to.

use plugrank_budget::Rung;
use plugrank_contract::{
    ItemId,
    reranking::{Placement, Ranked, ScoredCandidate},
    retrieval::{Candidate, Source},
};

/// An item at its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) item_id: ItemId,
    pub(crate) score: Option<f32>,
    pub(crate) ctr: Option<f32>,
    pub(crate) sources: Vec<Source>,
    /// What put it there.
    pub(crate) placement: &'static str,
}

impl From<Ranked> for Placed {
    fn from(ranked: Ranked) -> Self {
        let placement = match ranked.placement {
            Placement::Ranked => "ranked",
            Placement::Explored => "explored",
            Placement::CapRelaxed => "cap_relaxed",
        };
        Self {
            item_id: ranked.item_id,
            score: Some(ranked.score),
            ctr: Some(ranked.ctr),
            sources: ranked.sources,
            placement,
        }
    }
}

/// The first `k` candidates as retrieval ordered them.
pub(crate) fn as_retrieved(candidates: Vec<Candidate>, k: u32) -> Vec<Placed> {
    let place = |candidate: Candidate| Placed {
        item_id: candidate.item_id,
        score: None,
        ctr: None,
        sources: candidate.sources,
        placement: Rung::RetrievalOrder.as_str(),
    };
    candidates.into_iter().take(k as usize).map(place).collect()
}

/// The `k` candidates of the greatest click probability; among equals retrieval's order.
pub(crate) fn by_ctr(mut candidates: Vec<ScoredCandidate>, k: u32) -> Vec<Placed> {
    candidates.sort_by(|a, b| b.ctr.total_cmp(&a.ctr));
    candidates.truncate(k as usize);
    let place = |candidate: ScoredCandidate| Placed {
        item_id: candidate.item_id,
        score: Some(candidate.ctr),
        ctr: Some(candidate.ctr),
        sources: candidate.sources,
        placement: Rung::CtrOrder.as_str(),
    };
    candidates.into_iter().map(place).collect()
}
