//! The order by click probability.

use std::{cmp::Ordering, collections::HashSet};

use plugrank_contract::reranking::ScoredCandidate;

/// Best click probability first; equal ones by id, so that the order they came in has no say.
/// Probabilities that are not numbers, or infinite, sink to the bottom. Of an item that is named
/// twice, the better one stays.
#[must_use]
pub fn by_click_probability(mut candidates: Vec<ScoredCandidate>) -> Vec<ScoredCandidate> {
    candidates.sort_by(|a, b| compare(a, b).then_with(|| a.item_id.cmp(&b.item_id)));
    let mut met = HashSet::with_capacity(candidates.len());
    candidates.retain(|candidate| met.insert(candidate.item_id.clone()));
    candidates
}

fn compare(a: &ScoredCandidate, b: &ScoredCandidate) -> Ordering {
    match (a.ctr.is_finite(), b.ctr.is_finite()) {
        (true, true) => b.ctr.partial_cmp(&a.ctr).unwrap_or(Ordering::Equal),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::by_click_probability;
    use crate::testing::candidate;

    #[test]
    fn what_is_no_number_sinks() {
        let given = [
            ("10", f32::NAN),
            ("9", 0.1),
            ("8", f32::INFINITY),
            ("7", 0.3),
            ("6", f32::NEG_INFINITY),
            ("11", 0.1),
            ("5", 0.0),
        ];
        let ordered = by_click_probability(given.map(|(id, ctr)| candidate(id, ctr)).to_vec());
        let ids: Vec<&str> = ordered.iter().map(|one| one.item_id.as_str()).collect();
        assert_eq!(ids, ["7", "9", "11", "5", "6", "8", "10"]);
    }

    #[test]
    fn an_item_named_twice_stays_once() {
        let ordered = by_click_probability(vec![
            candidate("a", 0.1),
            candidate("b", 0.2),
            candidate("a", 0.3),
        ]);
        assert_eq!(ordered, [candidate("a", 0.3), candidate("b", 0.2)]);
    }
}
