//! From ids to indices, without a lock.

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

use arc_swap::{ArcSwap, Guard};
use foldhash::fast::RandomState;
use plugrank_contract::{ItemId, ItemIndex};
use std::sync::Arc;

/// Slots a new index begins with.
const FIRST_SLOTS: usize = 1024;

/// A hash index that grows and never forgets: an id keeps its index, even when the item is removed.
///
/// Open addressing with linear probing; a slot holds 32 bits of the hash and the index, so that the
/// id itself is compared about once a look-up. At most half of the slots are taken. Readers that
/// hold the slots of before a growth miss only ids that were added after they began.
#[derive(Debug)]
pub(crate) struct IdIndex {
    hasher: RandomState,
    slots: ArcSwap<Slots>,
    ids: boxcar::Vec<ItemId>,
}

/// Each slot is 0, or the upper half of the hash above the index plus 1.
type Slots = Box<[AtomicU64]>;

fn empty(count: usize) -> Slots {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

impl Default for IdIndex {
    fn default() -> Self {
        let slots = ArcSwap::from_pointee(empty(FIRST_SLOTS));
        Self { hasher: RandomState::default(), slots, ids: boxcar::Vec::new() }
    }
}

impl IdIndex {
    /// Ids there are; every index is below it.
    pub(crate) fn len(&self) -> usize {
        self.ids.count()
    }

    /// The id of an index.
    pub(crate) fn id(&self, index: ItemIndex) -> Option<&ItemId> {
        self.ids.get(index as usize)
    }

    /// For many look-ups in a row.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { index: self, slots: self.slots.load() }
    }

    /// The index of an id, given now if it is new. One caller at a time.
    pub(crate) fn insert(&self, id: &ItemId) -> ItemIndex {
        if let Some(index) = self.reader().get(id.as_str()) {
            return index;
        }
        let index = self.ids.push(id.clone()) as ItemIndex;
        if (index as usize + 1) * 2 > self.slots.load().len() {
            self.grow();
        } else {
            place(&self.slots.load(), self.hash(id.as_str()), index);
        }
        index
    }

    /// Makes room for so many ids in all, so that it need not grow until then. One caller at a time.
    pub(crate) fn reserve(&self, ids: usize) {
        let slots = (ids * 2).next_power_of_two();
        if slots > self.slots.load().len() {
            self.resize(slots);
        }
    }

    fn grow(&self) {
        self.resize(self.slots.load().len() * 2);
    }

    fn resize(&self, slots: usize) {
        let slots = empty(slots);
        for (index, id) in self.ids.iter() {
            place(&slots, self.hash(id.as_str()), index as ItemIndex);
        }
        self.slots.store(Arc::new(slots));
    }

    fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id.as_bytes())
    }
}

const fn entry(hash: u64, index: ItemIndex) -> u64 {
    (hash & !(u32::MAX as u64)) | (index as u64 + 1)
}

fn place(slots: &Slots, hash: u64, index: ItemIndex) {
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    // Half of the slots are free, so that one is found.
    while slots[at].load(Ordering::Relaxed) != 0 {
        at = (at + 1) & mask;
    }
    slots[at].store(entry(hash, index), Ordering::Release);
}

/// Looks ids up.
pub(crate) struct Reader<'a> {
    index: &'a IdIndex,
    slots: Guard<Arc<Slots>>,
}

impl Reader<'_> {
    /// The index of an id; `None` when it was never met.
    pub(crate) fn get(&self, id: &str) -> Option<ItemIndex> {
        let hash = self.index.hash(id);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at].load(Ordering::Acquire);
            if slot == 0 {
                return None;
            }
            let index = (slot as u32).wrapping_sub(1);
            if slot == entry(hash, index)
                && self.index.id(index).is_some_and(|known| known.as_str() == id)
            {
                return Some(index);
            }
            at = (at + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn ids_keep_their_index_while_it_grows() {
        let index = IdIndex::default();
        let id = |number: u32| ItemId::from(format!("item-{number}"));
        for number in 0..50_000 {
            assert_eq!(index.insert(&id(number)), number);
        }
        assert_eq!(index.insert(&id(7)), 7);
        assert_eq!(index.len(), 50_000);
        let reader = index.reader();
        for number in 0..50_000 {
            assert_eq!(reader.get(id(number).as_str()), Some(number));
        }
        for number in 50_000..60_000 {
            assert_eq!(reader.get(id(number).as_str()), None);
        }
        assert_eq!(index.id(49_999), Some(&id(49_999)));
        assert_eq!(index.id(50_000), None);
        index.reserve(10);
        index.reserve(100_000);
        let slots = index.slots.load().len();
        assert_eq!((50_000..100_000).map(|number| index.insert(&id(number))).max(), Some(99_999));
        assert_eq!((index.insert(&id(7)), index.slots.load().len()), (7, slots));
    }

    #[test]
    fn readers_find_all_ids_added_before_they_began() {
        let index = IdIndex::default();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..200_000u32 {
                    index.insert(&ItemId::from(number.to_string()));
                }
                done.store(true, Ordering::Release);
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        let known = index.len() as u32;
                        let reader = index.reader();
                        // The last one may be on its way into its slot.
                        for number in (0..known.saturating_sub(1)).step_by(997) {
                            assert_eq!(reader.get(&number.to_string()), Some(number));
                        }
                    }
                });
            }
        });
    }
}
