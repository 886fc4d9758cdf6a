//! The rules, each a file of its own.

pub mod category_cap;
pub mod diversity;
pub mod duplicates;
pub mod exploration;

use plugrank_contract::TimestampMs;

use crate::{Facts, RerankingOptions, place::FilledPlace, similarity::Similarity};

/// The rules in the order in which they are applied.
#[must_use]
pub fn all(options: &RerankingOptions) -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(diversity::Diversity::new(options)),
        Box::new(category_cap::CategoryCap::new(options)),
        Box::new(duplicates::Duplicates::new(options)),
        Box::new(exploration::Exploration::new(options)),
    ]
}

/// Candidates of one request in the order of their click probability, and what is known about them.
/// An item is its place in that order.
#[derive(Debug)]
pub struct Field<'a> {
    /// Click probabilities, in the order.
    pub ctr: &'a [f32],
    /// Categories and ages.
    pub facts: Facts<'a>,
    /// How many of the first are compared with one another.
    pub pool: usize,
    /// How similar those are.
    pub similarity: Similarity,
    /// How many places there are to fill.
    pub k: usize,
    /// The moment of the request.
    pub as_of: TimestampMs,
    /// Seeds what is drawn.
    pub seed: u64,
    /// What the request says of diversity, instead of the settings: 1 - λ.
    pub diversity: Option<f32>,
}

impl Field<'_> {
    /// The greatest click probability; 0 when none is a number.
    #[must_use]
    pub fn best(&self) -> f32 {
        self.ctr.first().copied().filter(|best| best.is_finite()).unwrap_or(0.0)
    }
}

/// A rule of re-ranking.
///
/// A rule keeps its promise whatever the other rules do: at most `k` distinct candidates come out,
/// and their scores never rise from one place to the next.
pub trait Rule: Send + Sync {
    /// What to call it where a place or a skipped rule names it.
    fn name(&self) -> &'static str;
    /// Begins with one request; `None` when it has nothing to do there.
    fn begin(&self, field: &Field<'_>) -> Option<Box<dyn Applied>>;
}

/// A rule at work on one request.
pub trait Applied {
    /// An item was given the next place. `values` is what the items of the pool are worth from now
    /// on; a rule takes off or adds what it has to.
    fn placed(&mut self, _field: &Field<'_>, _item: usize, _values: &mut [f32]) {}

    /// Whether the next place may go to an item.
    fn admits(&self, _field: &Field<'_>, _item: usize) -> bool {
        true
    }

    /// Whether an item may come in among the places that are filled already, wherever that is.
    fn has_room(&self, _field: &Field<'_>, _item: usize) -> bool {
        true
    }

    /// An item comes in among the places that are filled already.
    fn moved_in(&mut self, _field: &Field<'_>, _item: usize) {}

    /// All places are filled. `others` are the other rules.
    fn finish(
        &mut self,
        _field: &Field<'_>,
        _places: &mut Vec<FilledPlace>,
        _others: &mut [Box<dyn Applied>],
    ) {
    }
}
