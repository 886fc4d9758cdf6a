//! The store as this process sees it: how long it takes to answer, and whether it does.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use plugrank_contract::{
    Event, Exposure, History, HistoryEntry, HistoryLimits, Item, ItemId, TimestampMs, User, UserId,
    UserView,
};
use plugrank_runtime::Metrics;
use plugrank_store::{
    ChangeLog, Document, ExposureRow, HistoryCursor, HistoryPage, ItemStats, LogCursor, LogPage,
    NewItem, Retention, Store, StoreError, StoredItem, TimeRange, VectorPage, VectorSpace,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tokio::time::{Instant, interval, timeout};

/// How often the store is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long it may take to.
const ASK_TIME: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

/// A store whose operations are measured.
pub(super) struct MeasuredStore {
    inner: Arc<dyn Store>,
    seconds: Family<Operation, Histogram, fn() -> Histogram>,
    errors: Family<Operation, Counter>,
}

/// Measures a store, and asks it every two seconds whether it answers: `plugrank_store_up`, and a line in
/// the log when that changes. It is asked for as long as the process runs.
pub(super) fn measured(
    inner: Arc<dyn Store>,
    name: &'static str,
    metrics: &Metrics,
) -> Arc<dyn Store> {
    // 20 us to 5 s.
    let buckets = || Histogram::new((0..10).map(|step| 20e-6 * 4_f64.powi(step)));
    let measured = MeasuredStore {
        inner: Arc::clone(&inner),
        seconds: Family::new_with_constructor(buckets),
        errors: Family::default(),
    };
    let up = Gauge::<i64>::default();
    up.set(1);
    metrics.register(|to| {
        let seconds = measured.seconds.clone();
        to.register("store_request_duration_seconds", "Time the store took, by operation", seconds);
        to.register("store_errors", "Operations that failed", measured.errors.clone());
        to.register("store_up", "Whether the store answers", up.clone());
    });
    tokio::spawn(watch(inner, name, up));
    Arc::new(measured)
}

async fn watch(store: Arc<dyn Store>, name: &'static str, up: Gauge) {
    let mut turns = interval(ASK_EVERY);
    let mut down_since = None;
    loop {
        turns.tick().await;
        let answer = timeout(ASK_TIME, store.ping()).await;
        let answer = answer.map_err(|_| format!("no answer within {ASK_TIME:?}"));
        match answer.and_then(|answer| answer.map_err(|error| error.to_string())) {
            Ok(()) => {
                if let Some(since) = down_since.take() {
                    let seconds = Instant::now().duration_since(since).as_secs_f64();
                    tracing::warn!(store = name, seconds, "the store answers again");
                }
            }
            Err(error) => {
                if down_since.is_none() {
                    tracing::error!(store = name, error, "the store does not answer");
                    down_since = Some(Instant::now());
                }
            }
        }
        up.set(i64::from(down_since.is_none()));
    }
}

impl MeasuredStore {
    async fn measure<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let outcome = work.await;
        let operation = Operation { operation };
        self.seconds.get_or_create(&operation).observe(begun.elapsed().as_secs_f64());
        if outcome.is_err() {
            self.errors.get_or_create(&operation).inc();
        }
        outcome
    }
}

/// One operation, handed on and measured.
macro_rules! measured {
    ($self:ident.$operation:ident($($argument:expr),*)) => {
        $self.measure(stringify!($operation), $self.inner.$operation($($argument),*)).await
    };
}

#[async_trait]
impl Store for MeasuredStore {
    async fn put_items(&self, items: Vec<NewItem>) -> Result<(), StoreError> {
        measured!(self.put_items(items))
    }

    async fn update_items(&self, items: Vec<Item>) -> Result<(), StoreError> {
        measured!(self.update_items(items))
    }

    async fn delete_items(&self, ids: &[ItemId]) -> Result<(), StoreError> {
        measured!(self.delete_items(ids))
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Option<Arc<StoredItem>>>, StoreError> {
        measured!(self.items(ids))
    }

    async fn images(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        measured!(self.images(ids))
    }

    async fn scan_items(
        &self,
        after: Option<&ItemId>,
        limit: usize,
    ) -> Result<Vec<Arc<StoredItem>>, StoreError> {
        measured!(self.scan_items(after, limit))
    }

    async fn has_items(&self, ids: &[ItemId]) -> Result<Vec<bool>, StoreError> {
        measured!(self.has_items(ids))
    }

    async fn item_count(&self) -> Result<u64, StoreError> {
        measured!(self.item_count())
    }

    async fn put_users(&self, users: Vec<User>) -> Result<(), StoreError> {
        measured!(self.put_users(users))
    }

    async fn delete_user(&self, id: &UserId) -> Result<(), StoreError> {
        measured!(self.delete_user(id))
    }

    async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        measured!(self.user(id))
    }

    async fn append_events(&self, events: Vec<Event>) -> Result<Vec<bool>, StoreError> {
        measured!(self.append_events(events))
    }

    async fn scan_events(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Event>, StoreError> {
        measured!(self.scan_events(range, from, limit))
    }

    async fn append_exposures(&self, exposures: Arc<[ExposureRow]>) -> Result<(), StoreError> {
        measured!(self.append_exposures(exposures))
    }

    async fn scan_exposures(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Exposure>, StoreError> {
        measured!(self.scan_exposures(range, from, limit))
    }

    async fn forget_older(
        &self,
        retention: &Retention,
        now: TimestampMs,
    ) -> Result<u64, StoreError> {
        measured!(self.forget_older(retention, now))
    }

    async fn put_history(&self, entries: Vec<(UserId, HistoryEntry)>) -> Result<(), StoreError> {
        measured!(self.put_history(entries))
    }

    async fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> Result<History, StoreError> {
        measured!(self.history(user, before, clicks, impressions))
    }

    async fn user_view(
        &self,
        user: &UserId,
        before: TimestampMs,
        limits: HistoryLimits,
    ) -> Result<Arc<UserView>, StoreError> {
        measured!(self.user_view(user, before, limits))
    }

    async fn scan_histories(
        &self,
        from: Option<HistoryCursor>,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        measured!(self.scan_histories(from, limit))
    }

    async fn put_item_stats(&self, stats: Vec<(ItemId, ItemStats)>) -> Result<(), StoreError> {
        measured!(self.put_item_stats(stats))
    }

    async fn item_stats(&self, ids: &[ItemId]) -> Result<Vec<ItemStats>, StoreError> {
        measured!(self.item_stats(ids))
    }

    async fn put_neighbours(
        &self,
        neighbours: Vec<(ItemId, Vec<(ItemId, f32)>)>,
    ) -> Result<(), StoreError> {
        measured!(self.put_neighbours(neighbours))
    }

    async fn neighbours(&self, ids: &[ItemId]) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError> {
        measured!(self.neighbours(ids))
    }

    async fn put_vectors(
        &self,
        space: &VectorSpace,
        entries: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        measured!(self.put_vectors(space, entries))
    }

    async fn vectors(
        &self,
        space: &VectorSpace,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        measured!(self.vectors(space, keys))
    }

    async fn scan_vectors(
        &self,
        space: &VectorSpace,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<VectorPage>, StoreError> {
        measured!(self.scan_vectors(space, from, to, limit))
    }

    async fn document(&self, name: &str) -> Result<Option<Document>, StoreError> {
        measured!(self.document(name))
    }

    async fn put_document(
        &self,
        name: &str,
        bytes: Vec<u8>,
        expected: u64,
    ) -> Result<Option<u64>, StoreError> {
        measured!(self.put_document(name, bytes, expected))
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.inner.changes()
    }

    async fn copy(&self) -> Result<Option<PathBuf>, StoreError> {
        measured!(self.copy())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        measured!(self.ping())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
