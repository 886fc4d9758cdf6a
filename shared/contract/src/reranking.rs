//! Calls of the re-ranking service.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Call, ItemList, Matrix, TimestampMs, retrieval::Name};

/// What rules read of candidates, for a re-ranking role whose process does not hold the item table.
/// It comes with the scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankFacts {
    /// Number of the main category, then of the others, of each candidate. The numbers mean the
    /// same within one request alone.
    pub categories: Vec<Vec<u32>>,
    /// When each candidate entered the catalog.
    pub created_at: Vec<Option<TimestampMs>>,
    /// Which candidates have a row in `vectors`: places in the list, in the order of the rows.
    pub with_vector: Vec<u32>,
    /// Item vectors by [`Self::with_vector`], not normalised.
    pub vectors: Matrix,
}

/// Greatest [`Rerank::diversity`]: beyond it click probability would say nothing.
pub const MAX_DIVERSITY: f32 = 0.99;

/// Orders candidates for display.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rerank {
    /// Candidates, any order, no duplicates.
    pub items: ItemList,
    /// What each is worth: its value, or its calibrated click probability where there is no formula of
    /// values; what is no finite number sinks.
    pub ctr: Arc<[f32]>,
    /// What the rules read, where the re-ranking role cannot look it up.
    pub facts: Option<Arc<RankFacts>>,
    /// How many to return.
    pub k: u32,
    /// The moment of the request; decides what is fresh.
    pub as_of: TimestampMs,
    /// Seeds exploration, so that one request always has one answer.
    pub seed: u64,
    /// What similarity to what stands above counts against click probability, 0 to 0.99; `None`: as the
    /// settings have it.
    pub diversity: Option<f32>,
}

/// A candidate at its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Which candidate: its place in [`Rerank::items`].
    pub candidate: u32,
    /// What the order goes by, falling from first to last.
    pub score: f32,
    /// The rule that put it there: `ranked`, `explored`, `cap_relaxed`.
    pub rule: Name,
}

/// Reply to [`Rerank`]: at most `k` candidates, first to last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reranked {
    /// Candidates in their final order.
    pub places: Vec<Place>,
    /// Rules that could not be applied, with the reason (e.g. vectors not at hand).
    pub skipped: Vec<String>,
}

impl Call for Rerank {
    type Reply = Reranked;
    const PATH: &'static str = "/rpc/v1/reranking/rerank";
    const IDEMPOTENT: bool = true;
}
