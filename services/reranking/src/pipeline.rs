//! The rules in their order, without anything to wait for.

use plugrank_contract::{
    TimestampMs,
    reranking::{Ranked, ScoredCandidate},
};

use crate::{
    ItemFacts, Likeness, RerankingOptions,
    category_cap::CategoryCap,
    diversity::Diversity,
    exploration::explore,
    selection::{Field, fill},
};

/// What the rules go by.
pub struct Input<'a> {
    /// Candidates in the order of [`crate::order::by_click_probability`].
    pub candidates: &'a [ScoredCandidate],
    /// What is known of them, same order; empty when nothing is.
    pub facts: &'a [ItemFacts],
    /// How alike the first `pool` of them are.
    pub likeness: &'a Likeness,
    /// How many of them are compared for likeness.
    pub pool: usize,
    /// How many to return.
    pub k: usize,
    /// The moment of the request.
    pub as_of: TimestampMs,
    /// Seeds exploration.
    pub seed: u64,
}

/// Applies the rules: at most `k` distinct candidates in their final order.
///
/// `score` never rises from one place to the next. It is the click probability less the price of
/// likeness to the places above ([`Diversity`]); a candidate that a cap held back, or that is
/// explored, has the score of the place before where its own is greater.
#[must_use]
pub fn rerank(input: &Input<'_>, options: &RerankingOptions) -> Vec<Ranked> {
    let Input { candidates, facts, likeness, pool, k, as_of, seed } = *input;
    let best = candidates.first().map_or(0.0, |first| first.ctr);
    let best = if best.is_finite() { best } else { 0.0 };
    let field = Field { candidates, facts, pool };
    let mut diversity = Diversity::new(&options.diversity, pool, best, likeness, facts);
    let mut cap = CategoryCap::new(&options.category_cap);
    let places = fill(&field, k, &mut diversity, &mut cap);
    let places = explore(places, &field, as_of, seed, &options.exploration, cap);
    places
        .into_iter()
        .map(|place| {
            let ScoredCandidate { item_id, ctr, sources } = candidates[place.item].clone();
            Ranked { item_id, score: place.score, ctr, sources, placement: place.placement }
        })
        .collect()
}
