//! The in-process tier, bounded by bytes.

use std::{mem::size_of, sync::Arc};

use moka::sync::Cache;
use plugrank_contract::{ItemId, Matrix, item::ContentHash};

/// An item record's bytes, as `item_encoder` made them.
pub(crate) type Record = Arc<[u8]>;

/// What a cache entry takes beside its value, roughly: key, pointers and the cache's bookkeeping.
const ENTRY_OVERHEAD: usize = 160;

#[derive(Clone)]
struct Held {
    content: ContentHash,
    record: Record,
}

/// Item records by item and content, and missing records by item id.
///
/// One record an item is held. It carries the content it was made from, so a changed item does not
/// find the old one.
pub(crate) struct ItemMemory {
    records: Cache<ItemId, Held>,
    missing: Cache<i64, Record>,
}

impl ItemMemory {
    /// A tier of `bytes`, a sixteenth of it for missing records.
    pub(crate) fn new(bytes: u64) -> Self {
        let for_missing = bytes / 16;
        let records = Cache::builder()
            .max_capacity(bytes - for_missing)
            .weigher(|item: &ItemId, held: &Held| {
                weight(item.as_str().len() + size_of::<Held>() + held.record.len())
            })
            .build();
        let missing = Cache::builder()
            .max_capacity(for_missing)
            .weigher(|_: &i64, record: &Record| weight(record.len()))
            .build();
        Self { records, missing }
    }

    /// The record of an item, if it was made from this content.
    pub(crate) fn record(&self, item: &ItemId, content: &ContentHash) -> Option<Record> {
        self.records.get(item).filter(|held| held.content == *content).map(|held| held.record)
    }

    /// The record of an item as it was last known, and the content it was made from.
    pub(crate) fn held(&self, item: &ItemId) -> Option<(ContentHash, Record)> {
        self.records.get(item).map(|held| (held.content, held.record))
    }

    pub(crate) fn put(&self, item: ItemId, content: ContentHash, record: Record) {
        self.records.insert(item, Held { content, record });
    }

    pub(crate) fn forget(&self, item: &ItemId) {
        self.records.invalidate(item);
    }

    /// The missing record of an item with the vocabulary id `id`.
    pub(crate) fn missing(&self, id: i64) -> Option<Record> {
        self.missing.get(&id)
    }

    pub(crate) fn put_missing(&self, id: i64, record: Record) {
        self.missing.insert(id, record);
    }

    /// Bytes held, as weighed.
    pub(crate) fn bytes(&self) -> u64 {
        self.records.run_pending_tasks();
        self.missing.run_pending_tasks();
        self.records.weighted_size() + self.missing.weighted_size()
    }
}

/// User states by the hash of all they were made from.
pub(crate) struct UserMemory {
    states: Cache<[u8; 32], Arc<[Matrix]>>,
}

impl UserMemory {
    pub(crate) fn new(bytes: u64) -> Self {
        let states = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_: &[u8; 32], outputs: &Arc<[Matrix]>| {
                weight(outputs.iter().map(|one| one.data().len() + size_of::<Matrix>()).sum())
            })
            .build();
        Self { states }
    }

    pub(crate) fn state(&self, key: &[u8; 32]) -> Option<Arc<[Matrix]>> {
        self.states.get(key)
    }

    pub(crate) fn put(&self, key: [u8; 32], outputs: Arc<[Matrix]>) {
        self.states.insert(key, outputs);
    }

    /// Bytes held, as weighed.
    pub(crate) fn bytes(&self) -> u64 {
        self.states.run_pending_tasks();
        self.states.weighted_size()
    }
}

fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(byte: u8) -> Record {
        Arc::from(vec![byte; 100])
    }

    #[test]
    fn a_changed_item_does_not_find_its_old_record() {
        let memory = ItemMemory::new(1 << 20);
        let item = ItemId::from("i1");
        memory.put(item.clone(), [1; 32], record(1));
        assert_eq!(memory.record(&item, &[1; 32]), Some(record(1)));
        assert_eq!(memory.record(&item, &[2; 32]), None);
        memory.forget(&item);
        assert_eq!(memory.record(&item, &[1; 32]), None);
    }

    #[test]
    fn it_holds_no_more_bytes_than_it_may() {
        let memory = ItemMemory::new(100_000);
        for number in 0..5_000 {
            memory.put(ItemId::from(format!("i{number}")), [0; 32], record(0));
            memory.put_missing(number, record(0));
        }
        let held = memory.bytes();
        assert!(held <= 100_000 && held > 50_000, "{held}");
    }
}
