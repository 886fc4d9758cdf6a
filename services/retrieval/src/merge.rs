//! Makes one ranked list of several.

use std::cell::RefCell;

use plugrank_contract::{ItemIndex, retrieval::SourceSet};

use crate::{candidates::Candidates, index_set::IndexMap};

/// Smooths the ranks, as in the paper: the difference between the first places of a list is kept
/// small against being named by two sources.
const RANK_OFFSET: f64 = 60.0;

/// Place of an entry that names an item its list has named before, and of an unknown item.
const NOWHERE: u32 = u32::MAX;

/// Ranked lists that are to be merged, one after the other in one block.
#[derive(Debug, Default)]
pub(crate) struct RankedLists {
    items: Vec<ItemIndex>,
    heads: Vec<Head>,
}

/// What is known of a list beside its items.
#[derive(Debug)]
struct Head {
    source: SourceSet,
    weight: f64,
    /// Where it ends among all items.
    end: usize,
}

/// A list that is merged with others.
#[derive(Clone, Copy)]
pub(crate) struct RankedList<'a> {
    /// Where it came from; empty unless explained.
    pub(crate) source: SourceSet,
    /// How much its ranks count.
    pub(crate) weight: f64,
    /// Items, best first.
    pub(crate) items: &'a [ItemIndex],
}

impl RankedLists {
    /// No lists, with room for so many with so many items in all.
    pub(crate) fn with_room(lists: usize, items: usize) -> Self {
        Self { items: Vec::with_capacity(items), heads: Vec::with_capacity(lists) }
    }

    /// Adds a list of a source, best first, whose ranks count `weight` times.
    pub(crate) fn add(
        &mut self,
        source: SourceSet,
        weight: f64,
        items: impl IntoIterator<Item = ItemIndex>,
    ) {
        self.items.extend(items);
        self.heads.push(Head { source, weight, end: self.items.len() });
    }

    /// Adds a list of a ranking within one source.
    pub(crate) fn add_weighing(&mut self, weight: f64, items: impl IntoIterator<Item = ItemIndex>) {
        self.add(SourceSet::default(), weight, items);
    }

    /// Adds such a list as `write` appends it, which must not touch what is there already.
    pub(crate) fn add_written<E>(
        &mut self,
        weight: f64,
        write: impl FnOnce(&mut Vec<ItemIndex>) -> Result<(), E>,
    ) -> Result<(), E> {
        write(&mut self.items)?;
        self.add_weighing(weight, []);
        Ok(())
    }

    /// The lists, in the order in which they were added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RankedList<'_>> {
        let begins = [0].into_iter().chain(self.heads.iter().map(|head| head.end));
        begins.zip(&self.heads).map(|(begin, head)| RankedList {
            source: head.source,
            weight: head.weight,
            items: &self.items[begin..head.end],
        })
    }
}

/// What a merge works with, kept from one to the next on the same thread.
#[derive(Default)]
struct Scratch {
    known: IndexMap<u32>,
    /// The distinct items.
    entries: Vec<Entry>,
    /// For every entry of every list, its item's place among the distinct ones.
    places: Vec<u32>,
}

/// Most items for which a thread keeps memory.
const KEPT: usize = 1 << 14;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
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
pub(crate) fn fuse(lists: &RankedLists) -> Candidates {
    merged(lists, |entries| Candidates {
        indices: entries.iter().map(|entry| entry.item).collect(),
        sources: entries.iter().map(|entry| entry.sources).collect(),
    })
}

/// The same where it does not matter which list named an item.
pub(crate) fn fuse_items(lists: &RankedLists) -> Vec<ItemIndex> {
    merged(lists, |entries| entries.iter().map(|entry| entry.item).collect())
}

fn merged<T>(lists: &RankedLists, take: impl FnOnce(&[Entry]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.fuse(lists);
        let taken = take(&scratch.entries);
        if lists.items.len() > KEPT {
            *scratch = Scratch::default();
        }
        taken
    })
}

impl Scratch {
    fn fuse(&mut self, lists: &RankedLists) {
        self.meet(lists);
        let Self { entries, places, .. } = self;
        let longest = lists.iter().map(|list| list.items.len()).max().unwrap_or(0);
        // Gains are added rank by rank: in another order their sums would differ in the last bit.
        let mut met = 0;
        for rank in 0..longest {
            let mut begin = 0;
            for list in lists.iter() {
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
    }

    /// Finds the distinct items and everyone's place among them.
    fn meet(&mut self, lists: &RankedLists) {
        let Self { known, entries, places } = self;
        known.clear_for(lists.items.len());
        entries.clear();
        places.clear();
        for (number, list) in (0..).zip(lists.iter()) {
            for &item in list.items {
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
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
