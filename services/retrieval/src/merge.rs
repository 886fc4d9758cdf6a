//! Makes one ranked list of several.

use plugrank_contract::{ItemIndex, retrieval::SourceSet};

use crate::{candidates::Candidates, index_set::IndexMap};

/// Smooths the ranks, as in the paper: the difference between the first places of a list is kept
/// small against being named by two sources.
const RANK_OFFSET: f64 = 60.0;

/// Place of an entry that names an item its list has named before, and of an unknown item.
const NOWHERE: u32 = u32::MAX;

/// A list that is merged with others.
#[derive(Debug)]
pub(crate) struct RankedList {
    /// Where it came from; empty where nobody asks.
    pub(crate) source: SourceSet,
    /// How much its ranks count.
    pub(crate) weight: f64,
    /// Items, best first.
    pub(crate) items: Vec<ItemIndex>,
}

impl RankedList {
    /// A list of a ranking within one source.
    pub(crate) fn weighing(weight: f64, items: Vec<ItemIndex>) -> Self {
        Self { source: SourceSet::default(), weight, items }
    }
}

/// An item met in some list.
#[derive(Clone, Copy)]
struct Entry {
    item: ItemIndex,
    sources: SourceSet,
    /// The last list that named it, while places are given out.
    list: u32,
    score: f64,
    /// The how manyth it was to be met, rank by rank.
    met: u32,
}

/// Merges ranked lists without duplicates, best first: the sum over lists of
/// `weight / (60 + rank)`, rank from 1; among equals the one met first, going rank by rank and
/// within a rank by the order of the lists. A list that names an item twice counts once, at its
/// better rank.
/// Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009.
pub(crate) fn fuse(lists: &[RankedList]) -> Candidates {
    let total = lists.iter().map(|list| list.items.len()).sum();
    let longest = lists.iter().map(|list| list.items.len()).max().unwrap_or(0);
    let (mut entries, places) = entries(lists, total);
    // Gains are added rank by rank: in another order their sums would differ in the last bit.
    let mut met = 0;
    for rank in 0..longest {
        let mut begin = 0;
        for list in lists {
            if rank < list.items.len() && places[begin + rank] != NOWHERE {
                let entry = &mut entries[places[begin + rank] as usize];
                if entry.met == NOWHERE {
                    entry.met = met;
                    met += 1;
                }
                entry.score += list.weight / (RANK_OFFSET + 1.0 + rank as f64);
            }
            begin += list.items.len();
        }
    }
    entries.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.met.cmp(&b.met)));
    Candidates {
        indices: entries.iter().map(|entry| entry.item).collect(),
        sources: entries.iter().map(|entry| entry.sources).collect(),
    }
}

/// The distinct items, and for every entry of every list, one list after the other, its item's
/// place among them.
fn entries(lists: &[RankedList], total: usize) -> (Vec<Entry>, Vec<u32>) {
    let mut known: IndexMap<u32> = IndexMap::with_room(total);
    let mut entries: Vec<Entry> = Vec::with_capacity(total);
    let mut places: Vec<u32> = Vec::with_capacity(total);
    for (number, list) in (0..).zip(lists) {
        for &item in &list.items {
            let (place, new) = known.get_or_put(item, entries.len() as u32);
            if new {
                let (sources, score) = (list.source, 0.0);
                entries.push(Entry { item, sources, list: number, score, met: NOWHERE });
                places.push(place);
                continue;
            }
            match entries.get_mut(place as usize).filter(|entry| entry.list != number) {
                Some(entry) => {
                    entry.list = number;
                    entry.sources = entry.sources.union(list.source);
                    places.push(place);
                }
                None => places.push(NOWHERE),
            }
        }
    }
    (entries, places)
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
