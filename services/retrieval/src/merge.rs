//! Makes one ranked list of several.

use std::collections::HashMap;

use plugrank_contract::retrieval::Source;

use crate::query::Named;

/// Smooths the ranks, as in the paper: the difference between the first places of a list is kept
/// small against being named by two sources.
const RANK_OFFSET: f64 = 60.0;

/// A list that is merged with others.
pub(crate) struct RankedList<T> {
    /// Where it came from.
    pub(crate) source: T,
    /// How much its ranks count.
    pub(crate) weight: f64,
    /// Items, best first.
    pub(crate) items: Vec<Named>,
}

/// A merged candidate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Merged<T = Source> {
    /// Which item.
    pub(crate) item: Named,
    /// Every source that named it, in order and once each.
    pub(crate) sources: Vec<T>,
}

/// Merges ranked lists without duplicates, best first: the sum over lists of
/// `weight / (60 + rank)`, rank from 1; among equals the one met first, going rank by rank and
/// within a rank by the order of the lists.
/// Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009.
pub(crate) fn fuse<T: Copy + Ord>(lists: Vec<RankedList<T>>) -> Vec<Merged<T>> {
    let longest = lists.iter().map(|list| list.items.len()).max().unwrap_or(0);
    let total = lists.iter().map(|list| list.items.len()).sum();
    let mut place: HashMap<&Named, usize> = HashMap::with_capacity(total);
    let mut merged: Vec<(f64, Merged<T>)> = Vec::with_capacity(total);
    for rank in 0..longest {
        for list in &lists {
            let Some(item) = list.items.get(rank) else { continue };
            let gain = list.weight / (RANK_OFFSET + 1.0 + rank as f64);
            match place.get(item) {
                Some(&at) => {
                    let (score, candidate) = &mut merged[at];
                    // A list that names an item twice counts once, at its better rank.
                    if let Err(gap) = candidate.sources.binary_search(&list.source) {
                        candidate.sources.insert(gap, list.source);
                        *score += gain;
                    }
                }
                None => {
                    place.insert(item, merged.len());
                    let sources = vec![list.source];
                    merged.push((gain, Merged { item: item.clone(), sources }));
                }
            }
        }
    }
    // Stable, so that equals stay in the order in which they were met.
    merged.sort_by(|a, b| b.0.total_cmp(&a.0));
    merged.into_iter().map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use plugrank_contract::retrieval::Source;
    use proptest::prelude::*;

    use super::{Merged, RankedList, fuse};
    use crate::query::Named;

    fn list(source: Source, items: &[u32]) -> RankedList<Source> {
        let items = items.iter().map(|&index| Named::Known(index)).collect();
        RankedList { source, weight: 1.0, items }
    }

    fn order(merged: &[Merged]) -> Vec<u32> {
        merged
            .iter()
            .map(|candidate| match candidate.item {
                Named::Known(index) => index,
                Named::Unknown(_) => unreachable!("only known items in this test"),
            })
            .collect()
    }

    #[test]
    fn lists_take_turns_and_agreement_comes_first() {
        let merged =
            fuse(vec![list(Source::Fresh, &[1, 2, 9]), list(Source::Ann, &[3, 4, 9, 3, 5])]);
        assert_eq!(order(&merged), [9, 1, 3, 2, 4, 5]);
        assert_eq!(merged[0].sources, [Source::Ann, Source::Fresh]);
        assert_eq!(merged[2].sources, [Source::Ann]);
    }

    #[test]
    fn one_list_keeps_its_order() {
        let items: Vec<u32> = (0..5_000).rev().collect();
        assert_eq!(order(&fuse(vec![list(Source::Caller, &items)])), items);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_made_up(
            a in prop::collection::vec(0u32..40, 0..30),
            b in prop::collection::vec(0u32..40, 0..30),
            c in prop::collection::vec(0u32..40, 0..30),
        ) {
            let named = [(Source::Ann, &a), (Source::Popular, &b), (Source::Fresh, &c)];
            let merged = fuse(named.iter().map(|(source, items)| list(*source, items)).collect());
            let mut expected: BTreeMap<u32, BTreeSet<Source>> = BTreeMap::new();
            for (source, items) in named {
                for &item in items {
                    expected.entry(item).or_default().insert(source);
                }
            }
            let got: BTreeMap<u32, BTreeSet<Source>> = order(&merged)
                .into_iter()
                .zip(&merged)
                .map(|(item, candidate)| (item, candidate.sources.iter().copied().collect()))
                .collect();
            prop_assert_eq!(merged.len(), got.len());
            prop_assert_eq!(got, expected);
            for candidate in &merged {
                prop_assert!(candidate.sources.is_sorted());
            }
        }
    }
}
