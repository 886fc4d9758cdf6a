//! Fills the places one by one.

use plugrank_contract::reranking::{Placement, ScoredCandidate};

use crate::{ItemFacts, category_cap::CategoryCap, diversity::Diversity};

/// A filled place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Which candidate, by its place in the order by click probability.
    pub(crate) item: usize,
    /// What the order goes by; never above that of the place before.
    pub(crate) score: f32,
    /// What put it there.
    pub(crate) placement: Placement,
}

/// Candidates in the order by click probability, and what is known of them.
pub(crate) struct Field<'a> {
    pub(crate) candidates: &'a [ScoredCandidate],
    pub(crate) facts: &'a [ItemFacts],
    /// How many of them are compared for likeness.
    pub(crate) pool: usize,
}

impl Field<'_> {
    pub(crate) fn main_category(&self, item: usize) -> Option<u32> {
        self.facts.get(item).and_then(ItemFacts::main_category)
    }
}

/// Fills up to `k` places greedily. Each goes to the candidate with the greatest value that the
/// cap admits: from the pool; if it has none, from the rest in order; if that has none either, the
/// cap is relaxed. Candidates whose click probability is no number come last.
pub(crate) fn fill(
    field: &Field<'_>,
    k: usize,
    diversity: &mut Diversity<'_>,
    cap: &mut CategoryCap,
) -> Vec<Place> {
    let numbers = field.candidates.partition_point(|candidate| candidate.ctr.is_finite());
    let mut left: Vec<usize> = (0..numbers).collect();
    let mut places: Vec<Place> = Vec::with_capacity(k.min(field.candidates.len()));
    while places.len() < k && !left.is_empty() {
        let admitted = best(field, &left, diversity, |item| cap.admits(field.main_category(item)));
        let (placement, choice) = match admitted {
            Some(choice) => (Placement::Ranked, Some(choice)),
            None => (Placement::CapRelaxed, best(field, &left, diversity, |_| true)),
        };
        let Some(choice) = choice else { break };
        let item = left.remove(choice);
        let value = diversity.value(item, field.candidates[item].ctr);
        places.push(Place { item, score: falling(&places, value), placement });
        diversity.placed(item);
        cap.placed(field.main_category(item));
    }
    for item in numbers..field.candidates.len() {
        if places.len() >= k {
            break;
        }
        let admitted = cap.admits(field.main_category(item));
        let placement = if admitted { Placement::Ranked } else { Placement::CapRelaxed };
        places.push(Place { item, score: falling(&places, 0.0), placement });
        cap.placed(field.main_category(item));
    }
    places
}

/// Where in `left` the best admitted candidate stands. `left` is in the order by click
/// probability, so the pool comes first, and the first of equals is the more probable one.
fn best(
    field: &Field<'_>,
    left: &[usize],
    diversity: &Diversity<'_>,
    admits: impl Fn(usize) -> bool,
) -> Option<usize> {
    let pool = left.partition_point(|&item| item < field.pool);
    let mut found: Option<(usize, f32)> = None;
    for (at, &item) in left[..pool].iter().enumerate() {
        let value = diversity.value(item, field.candidates[item].ctr);
        if found.is_none_or(|(_, best)| value > best) && admits(item) {
            found = Some((at, value));
        }
    }
    let beyond = || left[pool..].iter().position(|&item| admits(item)).map(|at| pool + at);
    found.map(|(at, _)| at).or_else(beyond)
}

/// Values fall by themselves, except where a cap held a candidate back; then it takes the score of
/// the place before.
fn falling(places: &[Place], value: f32) -> f32 {
    places.last().map_or(value, |before| before.score.min(value))
}
