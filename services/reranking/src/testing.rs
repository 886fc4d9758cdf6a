//! What the tests share.

use plugrank_contract::{reranking::ScoredCandidate, retrieval::Source};

/// A candidate.
pub(crate) fn candidate(id: &str, ctr: f32) -> ScoredCandidate {
    ScoredCandidate { item_id: id.into(), ctr, sources: vec![Source::Popular] }
}
