//! Sets and maps of item indices, for one request: one allocation each, and no strings.

use plugrank_contract::{ItemIndex, UNKNOWN_ITEM};

/// Marks a free slot.
const FREE: ItemIndex = UNKNOWN_ITEM;
/// Slots of the smallest map that holds anything.
const FIRST_SLOTS: usize = 16;

/// A map from item indices, or other dense numbers below [`UNKNOWN_ITEM`]: open addressing with
/// linear probing, at most half of the slots taken. [`UNKNOWN_ITEM`] is never in it.
#[derive(Clone, Debug)]
pub(crate) struct IndexMap<V> {
    slots: Vec<(ItemIndex, V)>,
    len: usize,
}

impl<V> Default for IndexMap<V> {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }
}

impl<V: Copy + Default> IndexMap<V> {
    /// An empty map that holds `items` without growing.
    pub(crate) fn with_room(items: usize) -> Self {
        let mut map = Self::default();
        map.clear_for(items);
        map
    }

    /// Takes everything out, and makes room for `items`.
    pub(crate) fn clear_for(&mut self, items: usize) {
        self.slots.clear();
        self.len = 0;
        if items > 0 {
            let slots = (items * 2).next_power_of_two().max(FIRST_SLOTS);
            self.slots.resize(slots, (FREE, V::default()));
        }
    }

    /// Entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The value of an item.
    pub(crate) fn get(&self, item: ItemIndex) -> Option<V> {
        if self.slots.is_empty() {
            return None;
        }
        let (key, value) = self.slots[self.slot(item)];
        (key != FREE).then_some(value)
    }

    /// The value of an item; `value` is put there first when it has none, which the second part of
    /// the answer tells.
    pub(crate) fn get_or_put(&mut self, item: ItemIndex, value: V) -> (V, bool) {
        if item == FREE {
            return (value, false);
        }
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let at = self.slot(item);
        let (key, there) = self.slots[at];
        if key != FREE {
            return (there, false);
        }
        self.slots[at] = (item, value);
        self.len += 1;
        (value, true)
    }

    /// Where an item is, or the free slot it would take.
    fn slot(&self, item: ItemIndex) -> usize {
        let mask = self.slots.len() - 1;
        // Fibonacci hashing: the upper bits of the product are spread best.
        let hash = u64::from(item).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let mut at = hash as usize & mask;
        while self.slots[at].0 != item && self.slots[at].0 != FREE {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let mut larger = Self::with_room((self.len + 1).max(self.slots.len()));
        for (item, value) in self.slots.drain(..).filter(|(item, _)| *item != FREE) {
            larger.get_or_put(item, value);
        }
        *self = larger;
    }
}

/// A set of items.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexSet(IndexMap<()>);

impl IndexSet {
    /// An empty set that holds `items` without growing.
    pub(crate) fn with_room(items: usize) -> Self {
        Self(IndexMap::with_room(items))
    }

    /// Adds an item; whether it is new. [`UNKNOWN_ITEM`] is never added.
    pub(crate) fn insert(&mut self, item: ItemIndex) -> bool {
        self.0.get_or_put(item, ()).1
    }

    /// Whether an item is in it.
    pub(crate) fn contains(&self, item: ItemIndex) -> bool {
        self.0.get(item).is_some()
    }

    /// Items in it.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<ItemIndex> for IndexSet {
    fn from_iter<I: IntoIterator<Item = ItemIndex>>(items: I) -> Self {
        let items = items.into_iter();
        let mut set = Self::with_room(items.size_hint().0);
        items.for_each(|item| {
            set.insert(item);
        });
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use plugrank_contract::UNKNOWN_ITEM;
    use proptest::prelude::*;

    use super::{IndexMap, IndexSet};

    #[test]
    fn unknown_items_are_in_no_set() {
        let mut set = IndexSet::default();
        assert!(!set.contains(UNKNOWN_ITEM) && !set.contains(0));
        assert!(!set.insert(UNKNOWN_ITEM));
        assert!(set.insert(0) && !set.insert(0));
        assert!(set.contains(0) && !set.contains(UNKNOWN_ITEM) && !set.contains(1));
        assert_eq!(set.len(), 1);
    }

    proptest! {
        #[test]
        fn the_map_agrees_with_the_standard_hash_map(
            keys in prop::collection::vec(0u32..600, 0..400),
            room in 0usize..300,
        ) {
            let mut map = IndexMap::with_room(7);
            map.get_or_put(3, 0);
            map.clear_for(room);
            let mut expected = HashMap::new();
            for (at, key) in keys.iter().enumerate() {
                let new = !expected.contains_key(key);
                let there = *expected.entry(*key).or_insert(at);
                prop_assert_eq!(map.get_or_put(*key, at), (there, new));
            }
            prop_assert_eq!(map.len(), expected.len());
            for key in 0..600 {
                prop_assert_eq!(map.get(key), expected.get(&key).copied());
            }
        }
    }
}
