//! A store whose reads take as long as a test says, and are counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
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

type Result<T> = std::result::Result<T, StoreError>;

/// A real store behind a delay.
pub(crate) struct SlowStore {
    inner: Arc<dyn Store>,
    delay: Mutex<Duration>,
    reads: AtomicUsize,
}

impl SlowStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, delay: Mutex::default(), reads: AtomicUsize::new(0) })
    }

    /// Every read from now on takes this much longer.
    pub(crate) fn delay(&self, delay: Duration) {
        *self.delay.lock() = delay;
    }

    /// Reads since the start.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    async fn slowly(&self) -> &dyn Store {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let delay = *self.delay.lock();
        tokio::time::sleep(delay).await;
        self.inner.as_ref()
    }
}

#[async_trait]
impl Store for SlowStore {
    async fn put_items(&self, items: Vec<NewItem>) -> Result<()> {
        self.inner.put_items(items).await
    }
    async fn update_items(&self, items: Vec<Item>) -> Result<()> {
        self.inner.update_items(items).await
    }
    async fn delete_items(&self, ids: &[ItemId]) -> Result<()> {
        self.inner.delete_items(ids).await
    }
    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Option<Arc<StoredItem>>>> {
        self.slowly().await.items(ids).await
    }
    async fn images(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<u8>>>> {
        self.slowly().await.images(ids).await
    }
    async fn scan_items(
        &self,
        after: Option<&ItemId>,
        limit: usize,
    ) -> Result<Vec<Arc<StoredItem>>> {
        self.inner.scan_items(after, limit).await
    }
    async fn has_items(&self, ids: &[ItemId]) -> Result<Vec<bool>> {
        self.inner.has_items(ids).await
    }
    async fn item_count(&self) -> Result<u64> {
        self.inner.item_count().await
    }
    async fn document(&self, name: &str) -> Result<Option<Document>> {
        self.slowly().await.document(name).await
    }
    async fn put_document(&self, name: &str, bytes: Vec<u8>, expected: u64) -> Result<Option<u64>> {
        self.inner.put_document(name, bytes, expected).await
    }
    async fn put_users(&self, users: Vec<User>) -> Result<()> {
        self.inner.put_users(users).await
    }
    async fn delete_user(&self, id: &UserId) -> Result<()> {
        self.inner.delete_user(id).await
    }
    async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>> {
        self.slowly().await.user(id).await
    }
    async fn append_events(&self, events: Vec<Event>) -> Result<Vec<bool>> {
        self.inner.append_events(events).await
    }
    async fn scan_events(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Event>> {
        self.inner.scan_events(range, from, limit).await
    }
    async fn append_exposures(&self, exposures: Arc<[ExposureRow]>) -> Result<()> {
        self.inner.append_exposures(exposures).await
    }
    async fn scan_exposures(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Exposure>> {
        self.inner.scan_exposures(range, from, limit).await
    }
    async fn forget_older(&self, retention: &Retention, now: TimestampMs) -> Result<u64> {
        self.inner.forget_older(retention, now).await
    }
    async fn put_history(&self, entries: Vec<(UserId, HistoryEntry)>) -> Result<()> {
        self.inner.put_history(entries).await
    }
    async fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> Result<History> {
        self.slowly().await.history(user, before, clicks, impressions).await
    }
    async fn scan_histories(
        &self,
        from: Option<HistoryCursor>,
        limit: usize,
    ) -> Result<HistoryPage> {
        self.inner.scan_histories(from, limit).await
    }
    async fn put_item_stats(&self, stats: Vec<(ItemId, ItemStats)>) -> Result<()> {
        self.inner.put_item_stats(stats).await
    }
    async fn item_stats(&self, ids: &[ItemId]) -> Result<Vec<ItemStats>> {
        self.slowly().await.item_stats(ids).await
    }
    async fn put_neighbours(&self, neighbours: Vec<(ItemId, Vec<(ItemId, f32)>)>) -> Result<()> {
        self.inner.put_neighbours(neighbours).await
    }
    async fn neighbours(&self, ids: &[ItemId]) -> Result<Vec<Vec<(ItemId, f32)>>> {
        self.slowly().await.neighbours(ids).await
    }
    async fn put_vectors(
        &self,
        space: &VectorSpace,
        entries: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<()> {
        self.inner.put_vectors(space, entries).await
    }
    async fn vectors(&self, space: &VectorSpace, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.slowly().await.vectors(space, keys).await
    }
    async fn ping(&self) -> Result<()> {
        self.slowly().await.ping().await
    }
}
