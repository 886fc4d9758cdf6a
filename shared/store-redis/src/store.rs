//! The Redis store's methods, each handed to the file of its concern.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::{
    Event, Exposure, History, HistoryEntry, HistoryLimits, Item, ItemId, TimestampMs, User, UserId,
    UserView,
};
use plugrank_store::{
    ChangeLog, Document, ExposureRow, HistoryCursor, HistoryPage, ItemStats, LogCursor, LogPage,
    NewItem, Retention, Store, StoreError, StoredItem, TimeRange, VectorSpace, schema3,
};
use redis::cmd;

use crate::{
    RedisConnection, RedisOptions,
    batch::Kind,
    catalog,
    changes::RedisChanges,
    connection::Server,
    documents,
    events::{self, Memory},
    history,
    keys::Keys,
    log, stats, users, vectors,
};

/// Version of keys and values. A change to any of them raises it.
const SCHEMA_VERSION: u64 = 4;

/// A store on Redis servers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RedisStore {
    pub(crate) server: Server,
    pub(crate) keys: Keys,
    pub(crate) options: RedisOptions,
}

impl RedisStore {
    /// Connects to the servers and checks that the namespace holds this version's data, or none
    /// yet.
    ///
    /// # Errors
    ///
    /// `Unavailable` when an address is not one, or no server can be reached or lets us in;
    /// `Corrupt` when another version wrote the namespace.
    pub async fn connect(
        servers: &RedisConnection,
        options: RedisOptions,
    ) -> Result<Self, StoreError> {
        let server = Server::new(servers, options.replicas)?;
        let keys = Keys::new(&options.namespace);
        let schema = keys.schema();
        let mut batch = server.batch(Kind::Plain);
        batch.push(&schema, cmd("SETNX").arg(&schema).arg(SCHEMA_VERSION).take());
        batch.push(&schema, cmd("GET").arg(&schema).take());
        let version: String = server.send(batch).await?.pop().unwrap_or_default();
        if version == schema3::VERSION.to_string() {
            return Err(StoreError::Corrupt(format!(
                "the Redis namespace \"{}\" was written by the version before this one (schema {version}); \
                 stop what uses it and run `plugrank store migrate --to-namespace NAME`",
                options.namespace
            )));
        }
        if version != SCHEMA_VERSION.to_string() {
            return Err(StoreError::Corrupt(format!(
                "the Redis namespace \"{}\" has schema version {version}, this program reads \
                 {SCHEMA_VERSION}; choose another namespace and load the data again",
                options.namespace
            )));
        }
        Ok(Self { server, keys, options })
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn put_items(&self, items: Vec<NewItem>) -> Result<(), StoreError> {
        catalog::put(&self.server, &self.keys, self.options.changes_kept, items).await
    }

    async fn update_items(&self, items: Vec<Item>) -> Result<(), StoreError> {
        catalog::update(&self.server, &self.keys, self.options.changes_kept, items).await
    }

    async fn delete_items(&self, ids: &[ItemId]) -> Result<(), StoreError> {
        catalog::delete(&self.server, &self.keys, self.options.changes_kept, ids).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Option<Arc<StoredItem>>>, StoreError> {
        catalog::get(&self.server, &self.keys, ids).await
    }

    async fn images(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        catalog::images(&self.server, &self.keys, ids).await
    }

    async fn scan_items(
        &self,
        after: Option<&ItemId>,
        limit: usize,
    ) -> Result<Vec<Arc<StoredItem>>, StoreError> {
        catalog::scan(&self.server, &self.keys, after, limit).await
    }

    async fn has_items(&self, ids: &[ItemId]) -> Result<Vec<bool>, StoreError> {
        catalog::has(&self.server, &self.keys, ids).await
    }

    async fn item_count(&self) -> Result<u64, StoreError> {
        catalog::count(&self.server, &self.keys).await
    }

    async fn put_users(&self, users: Vec<User>) -> Result<(), StoreError> {
        users::put(&self.server, &self.keys, &users).await
    }

    async fn delete_user(&self, id: &UserId) -> Result<(), StoreError> {
        log::delete_user(&self.server, &self.keys, id).await
    }

    async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        users::get(&self.server, &self.keys, id).await
    }

    async fn append_events(&self, events: Vec<Event>) -> Result<Vec<bool>, StoreError> {
        let memory = Memory {
            events: self.options.event_memory,
            popularity_half_life: self.options.popularity_half_life,
        };
        events::append(&self.server, &self.keys, memory, &events).await
    }

    async fn scan_events(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Event>, StoreError> {
        log::scan_events(&self.server, &self.keys, range, from, limit).await
    }

    async fn append_exposures(&self, exposures: Arc<[ExposureRow]>) -> Result<(), StoreError> {
        let memory = self.options.event_memory.as_secs().max(1);
        log::append_exposures(&self.server, &self.keys, memory, &exposures).await
    }

    async fn scan_exposures(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Exposure>, StoreError> {
        log::scan_exposures(&self.server, &self.keys, range, from, limit).await
    }

    async fn forget_older(
        &self,
        retention: &Retention,
        now: TimestampMs,
    ) -> Result<u64, StoreError> {
        log::forget_older(&self.server, &self.keys, retention, now).await
    }

    async fn put_history(&self, entries: Vec<(UserId, HistoryEntry)>) -> Result<(), StoreError> {
        history::put(&self.server, &self.keys, &entries).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> Result<History, StoreError> {
        let limits = HistoryLimits { clicks, impressions };
        history::get(&self.server, &self.keys, user, before, limits).await
    }

    async fn user_view(
        &self,
        user: &UserId,
        before: TimestampMs,
        limits: HistoryLimits,
    ) -> Result<Arc<UserView>, StoreError> {
        users::view(&self.server, &self.keys, user, before, limits).await
    }

    async fn scan_histories(
        &self,
        from: Option<HistoryCursor>,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        history::scan(&self.server, &self.keys, from, limit).await
    }

    async fn put_item_stats(&self, stats: Vec<(ItemId, ItemStats)>) -> Result<(), StoreError> {
        stats::put(&self.server, &self.keys, self.options.changes_kept, &stats).await
    }

    async fn item_stats(&self, ids: &[ItemId]) -> Result<Vec<ItemStats>, StoreError> {
        let half_life = self.options.popularity_half_life;
        stats::get(&self.server, &self.keys, ids, half_life).await
    }

    async fn put_neighbours(
        &self,
        neighbours: Vec<(ItemId, Vec<(ItemId, f32)>)>,
    ) -> Result<(), StoreError> {
        stats::put_neighbours(&self.server, &self.keys, &neighbours).await
    }

    async fn neighbours(&self, ids: &[ItemId]) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError> {
        stats::neighbours(&self.server, &self.keys, ids).await
    }

    async fn put_vectors(
        &self,
        space: &VectorSpace,
        entries: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let memory = self.options.vector_memory();
        vectors::put(&self.server, &self.keys, memory, space, &entries).await
    }

    async fn vectors(
        &self,
        space: &VectorSpace,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        vectors::get(&self.server, &self.keys, space, keys).await
    }

    async fn document(&self, name: &str) -> Result<Option<Document>, StoreError> {
        documents::get(&self.server, &self.keys, name).await
    }

    async fn put_document(
        &self,
        name: &str,
        bytes: Vec<u8>,
        expected: u64,
    ) -> Result<Option<u64>, StoreError> {
        documents::put(&self.server, &self.keys, name, bytes, expected).await
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        Some(Arc::new(RedisChanges::new(self.server.clone(), self.keys.clone())))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let schema = self.keys.schema();
        self.server.command(&schema, cmd("EXISTS").arg(&schema).take()).await
    }
}
