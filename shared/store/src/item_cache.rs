//! Decoded items in memory.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use moka::sync::Cache;
use plugrank_contract::ItemId;

use crate::StoredItem;

/// Decoded items, bounded in bytes, never older than the last write it was told of.
///
/// A reader that missed may read the store, be overtaken by a write, and only then fill the cache.
/// So it takes a [`Stamp`] before it reads, and its items are dropped when a write came between.
#[derive(Debug)]
pub(crate) struct ItemCache {
    items: Cache<ItemId, Arc<StoredItem>>,
    /// Fills hold it for reading, writes for writing, so no fill slips in between.
    state: RwLock<State>,
    made: Instant,
    /// Until when it is as new as promised, in milliseconds since `made`.
    current_until_ms: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Writes so far.
    writes: u64,
    /// Whether it is told of writes; while it is not, it holds nothing.
    told: bool,
}

/// When a reader began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl ItemCache {
    /// A cache of at most about `bytes`, told of every write or, for a start, of none.
    pub(crate) fn new(bytes: u64, told: bool) -> Self {
        let items = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, item: &Arc<StoredItem>| weight(item))
            .build();
        Self {
            items,
            state: RwLock::new(State { writes: 0, told }),
            made: Instant::now(),
            current_until_ms: AtomicU64::new(0),
        }
    }

    /// Whether what it holds is as new as promised. Asked where word of writes may fail to come.
    pub(crate) fn is_current(&self) -> bool {
        let now = self.made.elapsed().as_millis() as u64;
        now < self.current_until_ms.load(Ordering::Relaxed)
    }

    /// Word of all writes has come; it is as new as promised until then.
    pub(crate) fn current_until(&self, until: Instant) {
        let until = until.saturating_duration_since(self.made).as_millis() as u64;
        self.current_until_ms.store(until, Ordering::Relaxed);
    }

    /// To be taken before reading the store.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.state.read().unwrap_or_else(PoisonError::into_inner).writes)
    }

    /// An item, when it is here.
    pub(crate) fn get(&self, id: &ItemId) -> Option<Arc<StoredItem>> {
        self.items.get(id)
    }

    /// Keeps items read since `stamp`.
    pub(crate) fn fill<'a>(
        &self,
        stamp: Stamp,
        items: impl IntoIterator<Item = &'a Arc<StoredItem>>,
    ) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.told && state.writes == stamp.0 {
            for item in items {
                self.items.insert(item.item.item_id.clone(), Arc::clone(item));
            }
        }
    }

    /// Forgets items that were written.
    pub(crate) fn forget(&self, ids: &[ItemId]) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.writes += 1;
        for id in ids {
            self.items.invalidate(id);
        }
    }

    /// Forgets everything. From now on it is told of writes, or no longer is.
    pub(crate) fn restart(&self, told: bool) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.writes += 1;
        state.told = told;
        self.current_until_ms.store(0, Ordering::Relaxed);
        self.items.invalidate_all();
    }
}

/// About the bytes an item takes, with its place in the cache.
fn weight(stored: &StoredItem) -> u32 {
    const STRING: usize = size_of::<String>() + 8;
    let item = &stored.item;
    let strings = item.categories.iter().map(|text| text.len() + STRING).sum::<usize>()
        + item.features.iter().map(|(a, b)| a.len() + b.len() + 2 * STRING).sum::<usize>();
    let bytes = size_of::<StoredItem>()
        + 200
        + 2 * item.item_id.as_str().len()
        + item.title.len()
        + item.text.len()
        + strings;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, title: &str) -> Arc<StoredItem> {
        let item = plugrank_contract::Item {
            item_id: id.into(),
            title: title.into(),
            text: String::new(),
            categories: vec![],
            created_at: None,
            available: true,
            image_hash: None,
            features: std::collections::BTreeMap::new(),
        };
        Arc::new(StoredItem { content: crate::content_hash(&item), item })
    }

    #[test]
    fn a_reader_overtaken_by_a_write_does_not_fill() {
        let cache = ItemCache::new(1 << 20, true);
        let id = ItemId::from("1");
        let stamp = cache.stamp();
        let read_before = item("1", "old");
        cache.forget(std::slice::from_ref(&id));
        cache.fill(stamp, [&read_before]);
        assert_eq!(cache.get(&id), None);
        cache.fill(cache.stamp(), [&item("1", "new")]);
        assert_eq!(cache.get(&id), Some(item("1", "new")));
    }

    #[test]
    fn while_it_is_not_told_of_writes_it_holds_nothing() {
        let cache = ItemCache::new(1 << 20, false);
        let id = ItemId::from("1");
        cache.fill(cache.stamp(), [&item("1", "old")]);
        assert_eq!(cache.get(&id), None);
        let before = cache.stamp();
        cache.restart(true);
        cache.fill(before, [&item("1", "old")]);
        assert_eq!(cache.get(&id), None);
        cache.fill(cache.stamp(), [&item("1", "new")]);
        assert!(cache.get(&id).is_some());
        cache.restart(false);
        assert_eq!(cache.get(&id), None);
    }

    #[test]
    fn memory_is_bounded() {
        let cache = ItemCache::new(100_000, true);
        for number in 0..10_000 {
            cache.fill(cache.stamp(), [&item(&number.to_string(), "title")]);
        }
        cache.items.run_pending_tasks();
        assert!(cache.items.weighted_size() <= 100_000, "{}", cache.items.weighted_size());
        assert!(cache.items.entry_count() > 10);
    }
}
