//! A store in memory that can be made unreachable.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;
use plugrank_contract::{
    Event, Exposure, History, HistoryEntry, Item, ItemId, TimestampMs, User, UserId,
};
use plugrank_store::{
    Document, ExposureRow, HistoryCursor, HistoryPage, ItemStats, LogCursor, LogPage, NewItem,
    Retention, Store, StoreError, StoredItem, TimeRange, VectorSpace,
};

/// An item and its image file.
type Kept = (Arc<StoredItem>, Option<Vec<u8>>);

#[derive(Default)]
pub(crate) struct MemoryStore {
    items: Mutex<BTreeMap<ItemId, Kept>>,
    users: Mutex<BTreeMap<UserId, Arc<User>>>,
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) exposures: Mutex<Vec<Exposure>>,
    seen: Mutex<BTreeSet<String>>,
    documents: Mutex<BTreeMap<String, Document>>,
    pub(crate) gone: AtomicBool,
    /// Reads of a user that began.
    pub(crate) user_reads: AtomicUsize,
    /// Whether they end.
    pub(crate) users_hang: AtomicBool,
}

impl MemoryStore {
    fn reach(&self) -> Result<(), StoreError> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("told to be unavailable".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put_items(&self, items: Vec<NewItem>) -> Result<(), StoreError> {
        self.reach()?;
        let mut all = self.items.lock();
        for NewItem { mut item, image } in items {
            item.image_hash = image.as_ref().map(|bytes| [bytes.len() as u8; 32]);
            let content = [item.title.len() as u8; 32];
            all.insert(item.item_id.clone(), (Arc::new(StoredItem { item, content }), image));
        }
        Ok(())
    }

    async fn update_items(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.reach()?;
        let mut all = self.items.lock();
        for item in items {
            let image = all.get(&item.item_id).and_then(|(_, image)| image.clone());
            let content = [item.title.len() as u8; 32];
            all.insert(item.item_id.clone(), (Arc::new(StoredItem { item, content }), image));
        }
        Ok(())
    }

    async fn delete_items(&self, ids: &[ItemId]) -> Result<(), StoreError> {
        self.reach()?;
        let mut all = self.items.lock();
        for id in ids {
            all.remove(id);
        }
        Ok(())
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Option<Arc<StoredItem>>>, StoreError> {
        self.reach()?;
        let all = self.items.lock();
        Ok(ids.iter().map(|id| all.get(id).map(|(item, _)| Arc::clone(item))).collect())
    }

    async fn images(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.reach()?;
        let all = self.items.lock();
        Ok(ids.iter().map(|id| all.get(id).and_then(|(_, image)| image.clone())).collect())
    }

    async fn scan_items(
        &self,
        after: Option<&ItemId>,
        limit: usize,
    ) -> Result<Vec<Arc<StoredItem>>, StoreError> {
        self.reach()?;
        let items = self.items.lock();
        let rest = items.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        Ok(rest.take(limit).map(|(_, (stored, _))| Arc::clone(stored)).collect())
    }

    async fn has_items(&self, ids: &[ItemId]) -> Result<Vec<bool>, StoreError> {
        self.reach()?;
        let all = self.items.lock();
        Ok(ids.iter().map(|id| all.contains_key(id)).collect())
    }

    async fn item_count(&self) -> Result<u64, StoreError> {
        Ok(self.items.lock().len() as u64)
    }

    async fn document(&self, name: &str) -> Result<Option<Document>, StoreError> {
        self.reach()?;
        Ok(self.documents.lock().get(name).cloned())
    }

    async fn put_document(
        &self,
        name: &str,
        bytes: Vec<u8>,
        expected: u64,
    ) -> Result<Option<u64>, StoreError> {
        self.reach()?;
        let mut all = self.documents.lock();
        let revision = all.get(name).map_or(0, |document| document.revision);
        if revision != expected {
            return Ok(None);
        }
        let revision = revision + 1;
        all.insert(name.to_owned(), Document { bytes, revision });
        Ok(Some(revision))
    }

    async fn put_users(&self, users: Vec<User>) -> Result<(), StoreError> {
        let mut all = self.users.lock();
        all.extend(users.into_iter().map(|user| (user.user_id.clone(), Arc::new(user))));
        Ok(())
    }

    async fn delete_user(&self, id: &UserId) -> Result<(), StoreError> {
        self.reach()?;
        self.users.lock().remove(id);
        self.events.lock().retain(|event| event.user_id != *id);
        self.exposures.lock().retain(|exposure| exposure.user_id != *id);
        Ok(())
    }

    async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        self.reach()?;
        self.user_reads.fetch_add(1, Ordering::Relaxed);
        if self.users_hang.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(self.users.lock().get(id).cloned())
    }

    async fn append_events(&self, events: Vec<Event>) -> Result<Vec<bool>, StoreError> {
        self.reach()?;
        let mut seen = self.seen.lock();
        let mut log = self.events.lock();
        let append = |event: Event| {
            let new = seen.insert(event.event_id.clone());
            if new {
                log.push(event);
            }
            new
        };
        Ok(events.into_iter().map(append).collect())
    }

    async fn scan_events(
        &self,
        range: TimeRange,
        _: Option<LogCursor>,
        _: usize,
    ) -> Result<LogPage<Event>, StoreError> {
        self.reach()?;
        let log = self.events.lock();
        let within = log.iter().filter(|event| range.contains(event.timestamp));
        Ok(LogPage { entries: within.cloned().collect(), next: None })
    }

    async fn append_exposures(&self, exposures: Arc<[ExposureRow]>) -> Result<(), StoreError> {
        self.reach()?;
        let read = |row: &ExposureRow| plugrank_store::codec::decode(&row.bytes).unwrap();
        self.exposures.lock().extend(exposures.iter().map(read));
        Ok(())
    }

    async fn scan_exposures(
        &self,
        range: TimeRange,
        _: Option<LogCursor>,
        _: usize,
    ) -> Result<LogPage<Exposure>, StoreError> {
        self.reach()?;
        let log = self.exposures.lock();
        let within = log.iter().filter(|exposure| range.contains(exposure.timestamp));
        Ok(LogPage { entries: within.cloned().collect(), next: None })
    }

    async fn forget_older(&self, _: &Retention, _: TimestampMs) -> Result<u64, StoreError> {
        self.reach()?;
        Ok(0)
    }

    async fn put_history(&self, _: Vec<(UserId, HistoryEntry)>) -> Result<(), StoreError> {
        unreachable!("the gateway only writes events")
    }

    async fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> Result<History, StoreError> {
        self.reach()?;
        let log = self.events.lock();
        let mut entries: Vec<HistoryEntry> = log
            .iter()
            .filter(|event| event.user_id == *user && event.timestamp < before)
            .map(HistoryEntry::from_event)
            .collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.timestamp));
        let (mut clicks, mut impressions) = (clicks, impressions);
        entries.retain(|entry| {
            let left = if entry.clicked { &mut clicks } else { &mut impressions };
            let kept = *left > 0;
            *left -= usize::from(kept);
            kept
        });
        Ok(History { entries })
    }

    async fn scan_histories(
        &self,
        _: Option<HistoryCursor>,
        _: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.reach()?;
        let log = self.events.lock();
        let entry = |event: &Event| {
            let (item_id, clicked) = (event.item_id.clone(), event.event_type.is_positive());
            let entry = HistoryEntry::new(item_id, clicked, event.timestamp);
            (event.user_id.clone(), entry)
        };
        Ok(HistoryPage { entries: log.iter().map(entry).collect(), next: None })
    }

    async fn put_item_stats(&self, _: Vec<(ItemId, ItemStats)>) -> Result<(), StoreError> {
        unreachable!("the gateway only writes events")
    }

    async fn item_stats(&self, ids: &[ItemId]) -> Result<Vec<ItemStats>, StoreError> {
        self.reach()?;
        let log = self.events.lock();
        let stats = |id: &ItemId| {
            let of_item = || log.iter().filter(|event| event.item_id == *id);
            let clicks = of_item().filter(|event| event.event_type.is_positive()).count();
            ItemStats {
                impressions: of_item().count() as u64,
                clicks: clicks as u64,
                ..ItemStats::default()
            }
        };
        Ok(ids.iter().map(stats).collect())
    }

    async fn put_neighbours(&self, _: Vec<(ItemId, Vec<(ItemId, f32)>)>) -> Result<(), StoreError> {
        unreachable!("the gateway does not use neighbours")
    }

    async fn neighbours(&self, _: &[ItemId]) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError> {
        unreachable!("the gateway does not use neighbours")
    }

    async fn put_vectors(
        &self,
        _: &VectorSpace,
        _: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        unreachable!("the gateway does not use vectors")
    }

    async fn vectors(
        &self,
        _: &VectorSpace,
        _: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        unreachable!("the gateway does not use vectors")
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.reach()
    }
}
