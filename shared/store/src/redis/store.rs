//! The Redis store's promises, each handed to the file of its concern.

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_redis::redis::{self, Script};
use plugrank_contract::{Event, History, HistoryEntry, ItemId, TimestampMs, User, UserId};

use super::{
    RedisOptions, catalog, connection::Server, events, history, keys::Keys, stats, users, vectors,
};
use crate::{ItemStats, NewItem, Store, StoreError, StoredItem, VectorSpace};

/// Version of keys and values. A change to any of them raises it.
const SCHEMA_VERSION: u64 = 1;

/// A store on one Redis server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RedisStore {
    server: Server,
    keys: Keys,
    options: RedisOptions,
    append_events: Arc<Script>,
    put_history: Arc<Script>,
}

impl RedisStore {
    /// Connects to the server at `url` (`redis://[user:password@]host:port[/db]`) and checks that
    /// the namespace holds this version's data, or none yet.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the URL is not one, or the server cannot be reached or refuses;
    /// `Corrupt` when another version wrote the namespace.
    pub async fn connect(url: &str, options: RedisOptions) -> Result<Self, StoreError> {
        let server = Server::new(url, &options)?;
        let keys = Keys::new(&options.namespace);
        let mut pipeline = redis::pipe();
        pipeline.set_nx(keys.schema(), SCHEMA_VERSION).ignore();
        pipeline.get(keys.schema());
        let (version,): (String,) = server.query(&pipeline).await?;
        if version != SCHEMA_VERSION.to_string() {
            return Err(StoreError::Corrupt(format!(
                "the Redis namespace \"{}\" has schema version {version}, this program reads \
                 {SCHEMA_VERSION}; choose another namespace and load the data again",
                options.namespace
            )));
        }
        let append_events = Arc::new(Script::new(include_str!("append_events.lua")));
        let put_history = Arc::new(Script::new(include_str!("put_history.lua")));
        Ok(Self { server, keys, options, append_events, put_history })
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn put_items(&self, items: Vec<NewItem>) -> Result<(), StoreError> {
        catalog::put(&self.server, &self.keys, items).await
    }

    async fn delete_items(&self, ids: &[ItemId]) -> Result<(), StoreError> {
        catalog::delete(&self.server, &self.keys, ids).await
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

    async fn item_count(&self) -> Result<u64, StoreError> {
        catalog::count(&self.server, &self.keys).await
    }

    async fn put_users(&self, users: Vec<User>) -> Result<(), StoreError> {
        users::put(&self.server, &self.keys, &users).await
    }

    async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        users::get(&self.server, &self.keys, id).await
    }

    async fn append_events(&self, events: Vec<Event>) -> Result<Vec<bool>, StoreError> {
        let memory = self.options.event_memory;
        events::append(&self.server, &self.keys, &self.append_events, memory, &events).await
    }

    async fn put_history(&self, entries: Vec<(UserId, HistoryEntry)>) -> Result<(), StoreError> {
        history::put(&self.server, &self.keys, &self.put_history, &entries).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> Result<History, StoreError> {
        history::get(&self.server, &self.keys, user, before, clicks, impressions).await
    }

    async fn put_item_stats(&self, stats: Vec<(ItemId, ItemStats)>) -> Result<(), StoreError> {
        stats::put(&self.server, &self.keys, &stats).await
    }

    async fn item_stats(&self, ids: &[ItemId]) -> Result<Vec<ItemStats>, StoreError> {
        stats::get(&self.server, &self.keys, ids).await
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
        let memory = self.options.vector_memory;
        vectors::put(&self.server, &self.keys, memory, space, &entries).await
    }

    async fn vectors(
        &self,
        space: &VectorSpace,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        vectors::get(&self.server, &self.keys, space, keys).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.server.query::<()>(redis::pipe().ping().ignore()).await
    }
}
