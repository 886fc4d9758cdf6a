//! Decoded items in memory.

use std::sync::{Arc, PoisonError, RwLock};

use moka::sync::Cache;
use plugrank_contract::ItemId;

use crate::StoredItem;

/// Decoded items, bounded in bytes, never older than the last confirmed write.
///
/// A reader that missed may read the file, be overtaken by a write, and only then fill the cache.
/// So it takes a [`Stamp`] before it reads, and its items are dropped when a write came between.
#[derive(Debug)]
pub(super) struct ItemCache {
    items: Cache<ItemId, Arc<StoredItem>>,
    /// Writes so far. Fills hold it for reading, writes for writing, so no fill slips in between.
    writes: RwLock<u64>,
}

/// When a reader began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u64);

impl ItemCache {
    /// A cache of at most about `bytes`.
    pub(super) fn new(bytes: u64) -> Self {
        let items = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, item: &Arc<StoredItem>| weight(item))
            .build();
        Self { items, writes: RwLock::new(0) }
    }

    /// To be taken before reading the file.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp(*self.writes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// An item, when it is here.
    pub(super) fn get(&self, id: &ItemId) -> Option<Arc<StoredItem>> {
        self.items.get(id)
    }

    /// Keeps items read since `stamp`.
    pub(super) fn fill<'a>(
        &self,
        stamp: Stamp,
        items: impl IntoIterator<Item = &'a Arc<StoredItem>>,
    ) {
        let writes = self.writes.read().unwrap_or_else(PoisonError::into_inner);
        if *writes == stamp.0 {
            for item in items {
                self.items.insert(item.item.item_id.clone(), Arc::clone(item));
            }
        }
    }

    /// Forgets items that were written.
    pub(super) fn forget(&self, ids: &[ItemId]) {
        let mut writes = self.writes.write().unwrap_or_else(PoisonError::into_inner);
        *writes += 1;
        for id in ids {
            self.items.invalidate(id);
        }
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
        let cache = ItemCache::new(1 << 20);
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
    fn memory_is_bounded() {
        let cache = ItemCache::new(100_000);
        for number in 0..10_000 {
            cache.fill(cache.stamp(), [&item(&number.to_string(), "title")]);
        }
        cache.items.run_pending_tasks();
        assert!(cache.items.weighted_size() <= 100_000, "{}", cache.items.weighted_size());
        assert!(cache.items.entry_count() > 10);
    }
}
