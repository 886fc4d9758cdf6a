//! Calls of the re-ranking service.

use serde::{Deserialize, Serialize};

use crate::{Call, ItemId, TimestampMs, retrieval::Source};

/// A scored candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredCandidate {
    /// Which item.
    pub item_id: ItemId,
    /// Calibrated click probability.
    pub ctr: f32,
    /// Where it came from.
    pub sources: Vec<Source>,
}

/// Orders candidates for display.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rerank {
    /// Candidates, any order, no duplicates.
    pub candidates: Vec<ScoredCandidate>,
    /// How many to return.
    pub k: u32,
    /// The moment of the request; decides what is fresh.
    pub as_of: TimestampMs,
    /// Seeds exploration, so that one request always has one answer.
    pub seed: u64,
}

/// What put an item at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Its score with diversity taken into account.
    Ranked,
    /// A slot kept for fresh items.
    Explored,
    /// Taken in spite of a category cap, because nothing else was left.
    CapRelaxed,
}

/// A placed item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Which item.
    pub item_id: ItemId,
    /// What the order goes by, falling from first to last.
    pub score: f32,
    /// Calibrated click probability.
    pub ctr: f32,
    /// Where it came from.
    pub sources: Vec<Source>,
    /// What put it there.
    pub placement: Placement,
}

/// Reply to [`Rerank`]: at most `k` items, first to last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reranked {
    /// Items in their final order.
    pub items: Vec<Ranked>,
    /// Rules that could not be applied, with the reason (e.g. vectors not at hand).
    pub skipped: Vec<String>,
}

impl Call for Rerank {
    type Reply = Reranked;
    const PATH: &'static str = "/rpc/v1/reranking/rerank";
    const IDEMPOTENT: bool = true;
}
