//! The embedded store's promises, each handed to the file of its concern.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{Event, History, HistoryEntry, ItemId, TimestampMs, User, UserId};
use redb::ReadTransaction;

use super::{
    EmbeddedOptions, catalog,
    database::Handle,
    error::Failure,
    events, history,
    open::{FileSystem, Opener},
    stats, users, vectors,
    writer::{Sync, Writer},
};
use crate::{
    HistoryCursor, HistoryPage, ItemStats, NewItem, Store, StoreError, StoredItem, VectorSpace,
    item_cache::ItemCache,
};

/// Rows that are read, or made ready, where the caller runs. More go to a thread for blocking
/// work, so that no async thread is held for long.
const INLINE_ROWS: usize = 256;

/// A store in one file of this machine, used by this process alone.
#[derive(Debug)]
pub struct EmbeddedStore {
    // Before the database, so that what was begun is written before it closes.
    writer: Writer,
    database: Arc<Handle>,
    items: Arc<ItemCache>,
}

impl EmbeddedStore {
    /// Opens the store in the file `path`, creating it and its directory where they are missing.
    ///
    /// # Errors
    ///
    /// Each with what would help: the file is in use by another process, must not be read and
    /// written, or does not fit on the disk (`Unavailable`); it was written by another version, is
    /// damaged, or is not a store (`Corrupt`).
    pub fn open(path: &Path, options: EmbeddedOptions) -> Result<Self, StoreError> {
        Self::open_with(Opener { path: path.to_owned(), options, disk: Box::new(FileSystem) })
    }

    pub(super) fn open_with(opener: Opener) -> Result<Self, StoreError> {
        let items = Arc::new(ItemCache::new(opener.options.item_cache_bytes, true));
        let database = Arc::new(Handle::open(opener)?);
        Ok(Self { writer: Writer::start(Arc::clone(&database))?, database, items })
    }

    /// Reads, here or on a thread for blocking work, by the number of rows.
    async fn read<T: Send + 'static>(
        &self,
        rows: usize,
        work: impl Fn(&ReadTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        if rows <= INLINE_ROWS {
            return self.database.read(work);
        }
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || database.read(work))
            .await
            .map_err(|error| StoreError::Unavailable(format!("reading was cut short: {error}")))?
    }

    /// Makes rows to be written, here or on a thread for blocking work, by their number.
    async fn prepare<I, T>(rows: usize, input: I, work: fn(I) -> T) -> Result<T, StoreError>
    where
        I: Send + 'static,
        T: Send + 'static,
    {
        if rows <= INLINE_ROWS {
            return Ok(work(input));
        }
        tokio::task::spawn_blocking(move || work(input))
            .await
            .map_err(|error| StoreError::Unavailable(format!("writing was cut short: {error}")))
    }

    /// Forgets items once they are written.
    fn forget(&self, ids: Vec<ItemId>) -> impl FnOnce() + Send + 'static {
        let cache = Arc::clone(&self.items);
        move || cache.forget(&ids)
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn put_items(&self, items: Vec<NewItem>) -> Result<(), StoreError> {
        let rows = Self::prepare(items.len(), items, catalog::rows).await?;
        let forget = self.forget(rows.iter().map(|row| row.id.clone()).collect());
        self.writer
            .write(Sync::Durable, rows.len(), move |txn| catalog::put(txn, &rows), forget)
            .await
    }

    async fn delete_items(&self, ids: &[ItemId]) -> Result<(), StoreError> {
        let ids = ids.to_vec();
        let forget = self.forget(ids.clone());
        self.writer
            .write(Sync::Durable, ids.len(), move |txn| catalog::delete(txn, &ids), forget)
            .await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Option<Arc<StoredItem>>>, StoreError> {
        let stamp = self.items.stamp();
        let mut found: Vec<_> = ids.iter().map(|id| self.items.get(id)).collect();
        let missing: Vec<(usize, ItemId)> = found
            .iter()
            .zip(ids)
            .enumerate()
            .filter(|(_, (item, _))| item.is_none())
            .map(|(at, (_, id))| (at, id.clone()))
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let (places, wanted): (Vec<usize>, Vec<ItemId>) = missing.into_iter().unzip();
        let read = self.read(wanted.len(), move |txn| catalog::get(txn, &wanted)).await?;
        self.items.fill(stamp, read.iter().flatten());
        for (at, item) in places.into_iter().zip(read) {
            found[at] = item;
        }
        Ok(found)
    }

    async fn images(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let ids = ids.to_vec();
        // An image is many pages: more than a few are not read where the caller runs.
        self.read(ids.len() * 64, move |txn| catalog::images(txn, &ids)).await
    }

    async fn scan_items(
        &self,
        after: Option<&ItemId>,
        limit: usize,
    ) -> Result<Vec<Arc<StoredItem>>, StoreError> {
        let after = after.cloned();
        self.read(limit, move |txn| catalog::scan(txn, after.as_ref(), limit)).await
    }

    async fn item_count(&self) -> Result<u64, StoreError> {
        self.database.read(catalog::count)
    }

    async fn put_users(&self, users: Vec<User>) -> Result<(), StoreError> {
        self.writer
            .write(Sync::Durable, users.len(), move |txn| users::put(txn, &users), || ())
            .await
    }

    async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        self.database.read(|txn| users::get(txn, id))
    }

    async fn append_events(&self, events: Vec<Event>) -> Result<Vec<bool>, StoreError> {
        self.writer
            .write(Sync::Durable, events.len(), move |txn| events::append(txn, &events), || ())
            .await
    }

    async fn put_history(&self, entries: Vec<(UserId, HistoryEntry)>) -> Result<(), StoreError> {
        let rows = Self::prepare(entries.len(), entries, |entries| history::rows(&entries)).await?;
        self.writer
            .write(Sync::Durable, rows.len(), move |txn| history::put(txn, &rows), || ())
            .await
    }

    async fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> Result<History, StoreError> {
        let user = user.clone();
        self.read(clicks.saturating_add(impressions), move |txn| {
            history::get(txn, &user, before, clicks, impressions)
        })
        .await
    }

    async fn scan_histories(
        &self,
        from: Option<HistoryCursor>,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.read(limit, move |txn| history::scan(txn, from.as_ref(), limit)).await
    }

    async fn put_item_stats(&self, stats: Vec<(ItemId, ItemStats)>) -> Result<(), StoreError> {
        self.writer
            .write(Sync::Durable, stats.len(), move |txn| stats::put(txn, &stats), || ())
            .await
    }

    async fn item_stats(&self, ids: &[ItemId]) -> Result<Vec<ItemStats>, StoreError> {
        let ids = ids.to_vec();
        self.read(ids.len(), move |txn| stats::get(txn, &ids)).await
    }

    async fn put_neighbours(
        &self,
        neighbours: Vec<(ItemId, Vec<(ItemId, f32)>)>,
    ) -> Result<(), StoreError> {
        let rows = neighbours.len();
        let work = move |txn: &redb::WriteTransaction| stats::put_neighbours(txn, &neighbours);
        self.writer.write(Sync::Durable, rows, work, || ()).await
    }

    async fn neighbours(&self, ids: &[ItemId]) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError> {
        let ids = ids.to_vec();
        self.read(ids.len(), move |txn| stats::neighbours(txn, &ids)).await
    }

    async fn put_vectors(
        &self,
        space: &VectorSpace,
        entries: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let space = space.clone();
        let rows = entries.len();
        let work = move |txn: &redb::WriteTransaction| vectors::put(txn, &space, &entries);
        self.writer.write(Sync::Volatile, rows, work, || ()).await
    }

    async fn vectors(
        &self,
        space: &VectorSpace,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let (space, keys) = (space.clone(), keys.to_vec());
        self.read(keys.len(), move |txn| vectors::get(txn, &space, &keys)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database.read(|txn| catalog::count(txn).map(|_| ()))
    }
}
