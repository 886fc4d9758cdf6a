//! The catalog in memory, as small as retrieval can do with.

use std::collections::BTreeSet;

use indexmap::IndexSet;
use plugrank_contract::{Item, ItemId, TimestampMs};
use plugrank_store::ItemStats;

/// Stands for an item id: its place in the order in which ids were first met. An id keeps its
/// place when the item is removed, and takes it again when it comes back.
pub(crate) type ItemIndex = u32;

/// Stands for a category's name, in the same way.
pub(crate) type CategoryIndex = u32;

/// Whether an item can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Removed from the catalog.
    Removed,
    /// There, but not to be shown.
    Unavailable,
    /// There and to be shown.
    Available,
}

#[derive(Debug)]
struct Entry {
    created_at: Option<TimestampMs>,
    /// Which of the distinct category lists.
    categories: u32,
    impressions: u32,
    clicks: u32,
    state: State,
}

/// What retrieval knows of every item. About 150 bytes an item, its id included.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    ids: IndexSet<ItemId>,
    entries: Vec<Entry>,
    category_names: IndexSet<String>,
    /// Distinct lists of categories: far fewer than items.
    category_lists: IndexSet<Box<[CategoryIndex]>>,
    /// Available items that have a time of creation, by it.
    by_creation: BTreeSet<(TimestampMs, ItemIndex)>,
    /// Items written since the popularity lists were last made.
    unlisted: BTreeSet<ItemIndex>,
}

impl Catalog {
    /// Items that are there, shown or not.
    pub(crate) fn len(&self) -> usize {
        self.entries.iter().filter(|entry| entry.state != State::Removed).count()
    }

    /// Ids met so far; every [`ItemIndex`] is below it.
    pub(crate) fn index_end(&self) -> ItemIndex {
        self.entries.len() as ItemIndex
    }

    /// An item's index; `None` when there is no such item, or none any more.
    pub(crate) fn index_of(&self, id: &ItemId) -> Option<ItemIndex> {
        let index = self.ids.get_index_of(id)?;
        (self.entries[index].state != State::Removed).then_some(index as ItemIndex)
    }

    /// An item's id; `None` beyond [`Self::index_end`].
    pub(crate) fn id(&self, index: ItemIndex) -> Option<&ItemId> {
        self.ids.get_index(index as usize)
    }

    /// Whether an item can be shown.
    pub(crate) fn state(&self, index: ItemIndex) -> State {
        self.entries.get(index as usize).map_or(State::Removed, |entry| entry.state)
    }

    /// Whether an item is there and to be shown.
    pub(crate) fn available(&self, index: ItemIndex) -> bool {
        self.state(index) == State::Available
    }

    /// An item's categories, the main one first.
    pub(crate) fn categories(&self, index: ItemIndex) -> &[CategoryIndex] {
        self.entries
            .get(index as usize)
            .and_then(|entry| self.category_lists.get_index(entry.categories as usize))
            .map_or(&[], |list| list)
    }

    /// Categories met so far; every [`CategoryIndex`] is below it.
    pub(crate) fn category_end(&self) -> CategoryIndex {
        self.category_names.len() as CategoryIndex
    }

    /// Impressions and clicks of an item.
    pub(crate) fn stats(&self, index: ItemIndex) -> ItemStats {
        self.entries.get(index as usize).map_or_else(ItemStats::default, |entry| ItemStats {
            impressions: entry.impressions.into(),
            clicks: entry.clicks.into(),
        })
    }

    /// When an item entered the catalog.
    pub(crate) fn created_at(&self, index: ItemIndex) -> Option<TimestampMs> {
        self.entries.get(index as usize)?.created_at
    }

    /// Available items created at `as_of` or before, newest first.
    pub(crate) fn newest(&self, as_of: TimestampMs) -> impl Iterator<Item = ItemIndex> {
        self.by_creation.range(..=(as_of, ItemIndex::MAX)).rev().map(|&(_, index)| index)
    }

    /// Available items that the popularity lists may not have yet.
    pub(crate) fn unlisted(&self) -> impl Iterator<Item = ItemIndex> {
        self.unlisted.iter().copied().filter(|&index| self.available(index))
    }

    /// Says that the popularity lists have these items now.
    pub(crate) fn listed(&mut self, items: &[ItemIndex]) {
        items.iter().for_each(|item| {
            self.unlisted.remove(item);
        });
    }

    /// Writes an item, replacing the one of the same id.
    pub(crate) fn put(&mut self, item: &Item, stats: ItemStats) -> ItemIndex {
        let categories = self.category_list(&item.categories);
        let state = if item.available { State::Available } else { State::Unavailable };
        let entry = Entry {
            created_at: item.created_at,
            categories,
            impressions: saturated(stats.impressions),
            clicks: saturated(stats.clicks),
            state,
        };
        let (index, new) = self.ids.insert_full(item.item_id.clone());
        let key = index as ItemIndex;
        if new {
            self.entries.push(entry);
        } else {
            self.forget_creation(key);
            self.entries[index] = entry;
        }
        if state == State::Available {
            self.unlisted.insert(key);
            if let Some(at) = item.created_at {
                self.by_creation.insert((at, key));
            }
        } else {
            self.unlisted.remove(&key);
        }
        key
    }

    /// Removes an item; its index, when there was one.
    pub(crate) fn remove(&mut self, id: &ItemId) -> Option<ItemIndex> {
        let index = self.index_of(id)?;
        self.forget_creation(index);
        self.unlisted.remove(&index);
        self.entries[index as usize].state = State::Removed;
        Some(index)
    }

    /// Replaces an item's statistics.
    pub(crate) fn set_stats(&mut self, index: ItemIndex, stats: ItemStats) {
        if let Some(entry) = self.entries.get_mut(index as usize) {
            entry.impressions = saturated(stats.impressions);
            entry.clicks = saturated(stats.clicks);
        }
    }

    fn forget_creation(&mut self, index: ItemIndex) {
        if let Some(at) = self.entries[index as usize].created_at {
            self.by_creation.remove(&(at, index));
        }
    }

    fn category_list(&mut self, names: &[String]) -> u32 {
        let mut list = Vec::with_capacity(names.len());
        for name in names {
            let index = match self.category_names.get_index_of(name) {
                Some(index) => index,
                None => self.category_names.insert_full(name.clone()).0,
            } as CategoryIndex;
            if !list.contains(&index) {
                list.push(index);
            }
        }
        self.category_lists.insert_full(list.into_boxed_slice()).0 as u32
    }
}

/// Counts beyond four thousand million are all alike.
fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use plugrank_contract::ItemId;
    use plugrank_store::ItemStats;

    use super::{Catalog, State};
    use crate::testing::item;

    #[test]
    fn an_id_keeps_its_index() {
        let mut catalog = Catalog::default();
        let a = catalog.put(&item("a", &["x"], Some(1)), ItemStats::default());
        let b = catalog.put(&item("b", &["x", "y", "x"], Some(2)), ItemStats::default());
        assert_eq!(catalog.remove(&ItemId::from("a")), Some(a));
        assert_eq!((catalog.index_of(&"a".into()), catalog.state(a)), (None, State::Removed));
        assert_eq!(catalog.remove(&ItemId::from("a")), None);
        assert_eq!(catalog.len(), 1);
        assert_eq!(catalog.put(&item("a", &[], Some(3)), ItemStats::default()), a);
        assert_eq!(catalog.categories(a), &[] as &[u32]);
        assert_eq!(catalog.categories(b), &[0, 1]);
    }

    #[test]
    fn newest_knows_changes_and_the_moment() {
        let mut catalog = Catalog::default();
        for (id, at) in [("a", Some(10)), ("b", Some(30)), ("c", None), ("d", Some(20))] {
            catalog.put(&item(id, &[], at), ItemStats::default());
        }
        let newest = |catalog: &Catalog, at| catalog.newest(at).collect::<Vec<_>>();
        assert_eq!(newest(&catalog, 100), [1, 3, 0]);
        assert_eq!(newest(&catalog, 20), [3, 0]);
        catalog.put(&item("a", &[], Some(40)), ItemStats::default());
        let mut gone = item("b", &[], Some(30));
        gone.available = false;
        catalog.put(&gone, ItemStats::default());
        assert_eq!(newest(&catalog, 100), [0, 3]);
        assert_eq!(catalog.state(1), State::Unavailable);
    }
}
