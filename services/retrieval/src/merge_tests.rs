use std::collections::{BTreeMap, BTreeSet, HashMap};

use plugrank_contract::{ItemIndex, retrieval::SourceSet};
use proptest::prelude::*;

use super::{RANK_OFFSET, RankedLists, fuse, fuse_items};
use crate::candidates::Candidates;

/// Lists of sources, each with a weight.
fn lists(lists: &[(usize, f64, &[ItemIndex])]) -> RankedLists {
    let mut ranked = RankedLists::default();
    for (source, weight, items) in lists {
        ranked.add(SourceSet::only(*source), *weight, items.iter().copied());
    }
    ranked
}

/// Reference implementation of the formula: gains added rank by rank, a stable sort.
fn reference_merge(lists: &RankedLists) -> Candidates {
    let lists: Vec<_> = lists.iter().collect();
    let longest = lists.iter().map(|list| list.items.len()).max().unwrap_or(0);
    let mut place: HashMap<ItemIndex, usize> = HashMap::new();
    let mut merged: Vec<(f64, ItemIndex, Vec<usize>)> = Vec::new();
    for rank in 0..longest {
        for (number, list) in lists.iter().enumerate() {
            let Some(&item) = list.items.get(rank) else { continue };
            let gain = list.weight / (RANK_OFFSET + 1.0 + rank as f64);
            let at = *place.entry(item).or_insert_with(|| {
                merged.push((0.0, item, Vec::new()));
                merged.len() - 1
            });
            let (score, _, named_by) = &mut merged[at];
            if !named_by.contains(&number) {
                named_by.push(number);
                // The first gain is taken as it is, which adding it to nothing does too.
                *score += gain;
            }
        }
    }
    merged.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut candidates = Candidates::default();
    for (_, item, named_by) in merged {
        let sources = named_by.iter().map(|number| lists[*number].source);
        candidates.push(item, sources.fold(SourceSet::default(), SourceSet::union));
    }
    candidates
}

#[test]
fn lists_alternate_and_items_of_several_come_first() {
    let (ann, fresh) = (0, 4);
    let merged = fuse(&lists(&[(fresh, 1.0, &[1, 2, 9]), (ann, 1.0, &[3, 4, 9, 3, 5])]));
    assert_eq!(merged.indices, [9, 1, 3, 2, 4, 5]);
    assert_eq!(merged.sources[0], SourceSet::only(ann).union(SourceSet::only(fresh)));
    assert_eq!(merged.sources[2], SourceSet::only(ann));
}

#[test]
fn one_list_keeps_its_order() {
    let items: Vec<ItemIndex> = (0..5_000).rev().collect();
    assert_eq!(fuse(&lists(&[(5, 1.0, &items)])).indices, items);
}

#[test]
fn empty_lists_merge_to_nothing() {
    assert_eq!(fuse(&lists(&[])), Candidates::default());
    assert_eq!(fuse(&lists(&[(0, 1.0, &[]), (1, 1.0, &[])])), Candidates::default());
}

fn items() -> impl Strategy<Value = Vec<ItemIndex>> {
    prop::collection::vec(0u32..40, 0..30)
}

proptest! {
    #[test]
    fn a_merge_holds_each_item_once(a in items(), b in items(), c in items()) {
        let named = [(0, &a), (3, &b), (4, &c)];
        let merged = fuse(&lists(&named.map(|(source, items)| (source, 1.0, &**items))));
        let mut expected: BTreeMap<ItemIndex, BTreeSet<usize>> = BTreeMap::new();
        for (source, items) in named {
            for &item in items {
                expected.entry(item).or_default().insert(source);
            }
        }
        let sources = merged.sources.iter().map(|sources| sources.iter().collect());
        let got: BTreeMap<ItemIndex, BTreeSet<usize>> =
            merged.indices.iter().copied().zip(sources).collect();
        prop_assert_eq!(merged.indices.len(), got.len());
        prop_assert_eq!(got, expected);
    }

    /// Same order, same ties, also where sums differ in the last bit only.
    #[test]
    fn the_order_equals_the_reference(
        named in prop::collection::vec((items(), prop::sample::select(vec![1.0, 0.5, 3.0])), 0..9)
    ) {
        let named = named.iter().enumerate();
        let named: Vec<_> = named.map(|(at, (items, weight))| (at, *weight, &**items)).collect();
        let (lists, expected) = (lists(&named), reference_merge(&lists(&named)));
        prop_assert_eq!(fuse_items(&lists), &*expected.indices);
        prop_assert_eq!(fuse(&lists), expected);
    }
}
