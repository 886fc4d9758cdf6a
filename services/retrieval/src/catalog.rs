//! The catalog in memory, as small as retrieval can do with.

use std::{collections::BTreeSet, num::NonZeroU64};

use indexmap::IndexSet;
use plugrank_contract::{Item, ItemId, TimestampMs, item::ContentHash};
use plugrank_store::ItemStats;
use serde::{Deserialize, Serialize};

/// Stands for an item id: its place in the order in which ids were first met. An id keeps its
/// place when the item is removed, and takes it again when it comes back.
pub(crate) type ItemIndex = u32;

/// Stands for a category's name, in the same way.
pub(crate) type CategoryIndex = u32;

/// Whether an item can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Removed from the catalog.
    Removed,
    /// There, but not to be shown.
    Unavailable,
    /// There and to be shown.
    Available,
}

/// Stands for a content hash: its first bytes. `None` where a vector may be of another content.
pub(crate) type Content = Option<NonZeroU64>;

/// What stands for a content hash.
pub(crate) fn content_of(hash: &ContentHash) -> Content {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    NonZeroU64::new(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Entry {
    /// Which content its vector is of.
    content: Content,
    created_at: Option<TimestampMs>,
    /// Which of the distinct category lists.
    categories: u32,
    impressions: u32,
    clicks: u32,
    state: State,
}

/// What retrieval knows of every item. About 160 bytes an item, its id included.
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

    /// Which content an item's vector is of.
    pub(crate) fn content(&self, index: ItemIndex) -> Content {
        self.entries.get(index as usize)?.content
    }

    /// Says which content an item's vector is of.
    pub(crate) fn set_content(&mut self, index: ItemIndex, content: Content) {
        if let Some(entry) = self.entries.get_mut(index as usize) {
            entry.content = content;
        }
    }

    /// Writes an item, replacing the one of the same id. Of which content its vector is stays as it
    /// was.
    pub(crate) fn put(&mut self, item: &Item, stats: ItemStats) -> ItemIndex {
        let categories = self.category_list(&item.categories);
        let state = if item.available { State::Available } else { State::Unavailable };
        let entry = Entry {
            content: None,
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
            let content = self.entries[index].content;
            self.entries[index] = Entry { content, ..entry };
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

    /// Removes an item; its index, when there ever was one.
    pub(crate) fn remove(&mut self, id: &ItemId) -> Option<ItemIndex> {
        let index = self.ids.get_index_of(id)? as ItemIndex;
        self.forget_creation(index);
        self.unlisted.remove(&index);
        self.entries[index as usize].state = State::Removed;
        self.entries[index as usize].content = None;
        Some(index)
    }

    /// What is to be kept of it.
    pub(crate) fn saved(&self) -> SavedCatalog {
        SavedCatalog {
            ids: self.ids.iter().cloned().collect(),
            entries: self.entries.clone(),
            category_names: self.category_names.iter().cloned().collect(),
            category_lists: self.category_lists.iter().cloned().collect(),
        }
    }

    /// The catalog of which [`Self::saved`] was kept; `None` when its parts do not fit together.
    pub(crate) fn restored(saved: SavedCatalog) -> Option<Self> {
        let SavedCatalog { ids, entries, category_names, category_lists } = saved;
        let counts = [ids.len(), entries.len(), category_names.len(), category_lists.len()];
        let mut catalog = Self {
            ids: ids.into_iter().collect(),
            entries,
            category_names: category_names.into_iter().collect(),
            category_lists: category_lists.into_iter().collect(),
            ..Self::default()
        };
        let [ids, entries, names, lists] = counts;
        // Nothing may be there twice, as its place is what stands for it.
        let fits = catalog.ids.len() == ids
            && ids == entries
            && catalog.category_names.len() == names
            && catalog.category_lists.len() == lists
            && catalog.entries.iter().all(|entry| (entry.categories as usize) < lists)
            && catalog.category_lists.iter().flatten().all(|name| (*name as usize) < names);
        if !fits {
            return None;
        }
        for (key, entry) in (0..).zip(&catalog.entries) {
            if entry.state == State::Available {
                catalog.unlisted.insert(key);
                catalog.by_creation.extend(entry.created_at.map(|at| (at, key)));
            }
        }
        Some(catalog)
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

/// A catalog as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedCatalog {
    ids: Vec<ItemId>,
    entries: Vec<Entry>,
    category_names: Vec<String>,
    category_lists: Vec<Box<[CategoryIndex]>>,
}

impl SavedCatalog {
    /// Ids in it, those of removed items included.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
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
        assert_eq!(catalog.remove(&ItemId::from("a")), Some(a), "its vector may still be there");
        assert_eq!(catalog.remove(&ItemId::from("never")), None);
        assert_eq!(catalog.len(), 1);
        assert_eq!(catalog.put(&item("a", &[], Some(3)), ItemStats::default()), a);
        assert_eq!(catalog.categories(a), &[] as &[u32]);
        assert_eq!(catalog.categories(b), &[0, 1]);
    }

    #[test]
    fn what_is_saved_is_the_same_again() {
        let mut catalog = Catalog::default();
        for (id, at) in [("a", Some(10)), ("b", Some(30)), ("c", None)] {
            let stats = ItemStats { impressions: 7, clicks: 3 };
            let index = catalog.put(&item(id, &["x", id], at), stats);
            catalog.set_content(index, super::content_of(&[9; 32]));
        }
        catalog.remove(&"b".into());
        let mut restored = Catalog::restored(catalog.saved()).unwrap();
        assert_eq!((restored.len(), restored.index_of(&"c".into())), (2, Some(2)));
        assert_eq!(restored.stats(0), ItemStats { impressions: 7, clicks: 3 });
        assert_eq!((restored.content(0), restored.content(1)), (catalog.content(0), None));
        assert_eq!(restored.newest(100).collect::<Vec<_>>(), [0]);
        assert_eq!(restored.unlisted().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(restored.categories(2), catalog.categories(2));
        assert_eq!(restored.put(&item("b", &["x"], Some(5)), ItemStats::default()), 1);
        let mut odd = catalog.saved();
        odd.ids[1] = "a".into();
        assert!(Catalog::restored(odd).is_none(), "an id twice");
        let mut odd = catalog.saved();
        odd.category_names.pop();
        assert!(Catalog::restored(odd).is_none(), "a category without a name");
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
