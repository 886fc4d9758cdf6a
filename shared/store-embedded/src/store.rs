//! The embedded store's methods, each handed to the file of its concern.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use plugrank_contract::{
    Event, Exposure, History, HistoryEntry, HistoryLimits, Item, ItemId, TimestampMs, User, UserId,
    UserView,
};
use plugrank_store::{
    ChangeLog, Document, ExposureRow, HistoryCursor, HistoryPage, ItemStats, LogCursor, LogPage,
    NewItem, Retention, Store, StoreError, StoredItem, TimeRange, VectorPage, VectorSpace,
    changes::Change,
};
use redb::{ReadTransaction, WriteTransaction};
use tokio::sync::watch;

use crate::{
    EmbeddedOptions, FileMigration, catalog,
    changes::{self, EmbeddedChanges},
    copy,
    database::{Handle, INLINE_ROWS},
    documents,
    error::Failure,
    events, exposures, history, migrate,
    open::{FileSystem, Opener},
    retention, stats,
    user_cache::{UserCache, answers},
    users, vectors,
    writer::{Sync, Writer},
};

/// A store in one file of this machine, used by this process alone.
#[derive(Debug)]
pub struct EmbeddedStore {
    // Before the database, so that what was begun is written before it closes.
    pub(crate) writer: Arc<Writer>,
    pub(crate) database: Arc<Handle>,
    pub(crate) users: Arc<UserCache>,
    changes_kept: u64,
    popularity_half_life: Duration,
    /// Told after every commit that may have changed items.
    items_written: Arc<watch::Sender<()>>,
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

    /// Copies what the store holds now into a new file, which [`Self::open`] opens, while it is read and
    /// written; how many rows. Blocks.
    ///
    /// # Errors
    /// There is a file already, or it cannot be written.
    pub fn copy_to(&self, path: &Path) -> Result<u64, StoreError> {
        if path.exists() {
            let message = format!("{} is there already; name another file", path.display());
            return Err(StoreError::Unavailable(message));
        }
        self.database.read(|txn| copy::copy(txn, path))
    }

    /// Writes the store in a file anew, so that nothing of what was deleted is left in its bytes. It must
    /// not be in use meanwhile. How many bytes it had before and has now. Blocks.
    ///
    /// # Errors
    /// As [`Self::open`]; or the disk has no room for a second file.
    pub fn compact(path: &Path) -> Result<(u64, u64), StoreError> {
        let opener = Opener {
            path: path.to_owned(),
            options: EmbeddedOptions::default(),
            disk: Box::new(FileSystem),
        };
        copy::compact(path, || opener.open())
    }

    /// Brings a store that the version before this one wrote (schema 3) to this one, in a new file that takes
    /// the place of the old, which is kept beside it. It must not be in use meanwhile. `None` where it is of
    /// this version already. Blocks.
    ///
    /// # Errors
    /// As [`Self::open`]; or the disk has no room for a second file.
    pub fn migrate(path: &Path, half_life: Duration) -> Result<Option<FileMigration>, StoreError> {
        migrate::migrate(path, half_life)
    }

    pub(crate) fn open_with(opener: Opener) -> Result<Self, StoreError> {
        let users = Arc::new(UserCache::new(opener.options.user_cache_mb << 20));
        let EmbeddedOptions { changes_kept, popularity_half_life, .. } = opener.options;
        let database = Arc::new(Handle::open(opener)?);
        let writer = Arc::new(Writer::start(Arc::clone(&database))?);
        let items_written = Arc::new(watch::Sender::new(()));
        Ok(Self { writer, database, users, changes_kept, popularity_half_life, items_written })
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

    /// Writes what changes items, with the word of it, then wakes who follows.
    async fn write_items(
        &self,
        rows: usize,
        mut work: impl FnMut(&WriteTransaction, u64) -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (kept, written) = (self.changes_kept, Arc::clone(&self.items_written));
        let work = move |txn: &WriteTransaction| work(txn, kept);
        self.writer.write(Sync::Durable, rows, work, move || written.send_replace(())).await
    }

    /// Writes what changes users, then forgets them before anyone is told.
    pub(crate) async fn write_users<T: Send + 'static>(
        &self,
        rows: usize,
        users: Vec<UserId>,
        work: impl FnMut(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let cache = Arc::clone(&self.users);
        self.writer.write(Sync::Durable, rows, work, move || cache.forget(&users)).await
    }

    /// Reads a user's view up to the end of time, which is kept, and where that is not the answer,
    /// the one before `before`.
    async fn read_view(
        &self,
        user: &UserId,
        before: TimestampMs,
        limits: HistoryLimits,
        kept: HistoryLimits,
    ) -> Result<Arc<UserView>, StoreError> {
        let stamp = self.users.stamp(user);
        let id = user.clone();
        let rows = kept.clicks.saturating_add(kept.impressions);
        let (latest, earlier) = self
            .database
            .read_rows(rows, move |txn| {
                let latest = users::view(txn, &id, TimestampMs::MAX, kept)?;
                let answer = answers(&latest, before, limits);
                let earlier = (!answer).then(|| users::view(txn, &id, before, limits));
                Ok((Arc::new(latest), earlier.transpose()?))
            })
            .await?;
        self.users.fill(stamp, &latest);
        Ok(earlier.map_or(latest, Arc::new))
    }
}

/// A copy that is removed unless somebody takes it.
struct Unclaimed(PathBuf);

impl Unclaimed {
    fn claim(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn put_items(&self, items: Vec<NewItem>) -> Result<(), StoreError> {
        let rows = Self::prepare(items.len(), items, catalog::rows).await?;
        let count = rows.len();
        let work = move |txn: &WriteTransaction, kept| {
            catalog::put(txn, &rows)?;
            changes::append(txn, Change::Item, rows.iter().map(|row| &row.id), kept)
        };
        self.write_items(count, work).await
    }

    async fn update_items(&self, items: Vec<Item>) -> Result<(), StoreError> {
        let rows = Self::prepare(items.len(), items, catalog::rows_without_images).await?;
        let count = rows.len();
        let work = move |txn: &WriteTransaction, kept| {
            catalog::update(txn, &rows)?;
            changes::append(txn, Change::Item, rows.iter().map(|(id, _)| id), kept)
        };
        self.write_items(count, work).await
    }

    async fn delete_items(&self, ids: &[ItemId]) -> Result<(), StoreError> {
        let count = ids.len();
        let ids = ids.to_vec();
        let work = move |txn: &WriteTransaction, kept| {
            catalog::delete(txn, &ids)?;
            changes::append(txn, Change::Item, &ids, kept)
        };
        self.write_items(count, work).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Option<Arc<StoredItem>>>, StoreError> {
        let ids = ids.to_vec();
        self.database.read_rows(ids.len(), move |txn| catalog::get(txn, &ids)).await
    }

    async fn images(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let ids = ids.to_vec();
        // An image is many pages: more than a few are not read where the caller runs.
        self.database.read_rows(ids.len() * 64, move |txn| catalog::images(txn, &ids)).await
    }

    async fn scan_items(
        &self,
        after: Option<&ItemId>,
        limit: usize,
    ) -> Result<Vec<Arc<StoredItem>>, StoreError> {
        let after = after.cloned();
        self.database.read_rows(limit, move |txn| catalog::scan(txn, after.as_ref(), limit)).await
    }

    async fn has_items(&self, ids: &[ItemId]) -> Result<Vec<bool>, StoreError> {
        let ids = ids.to_vec();
        self.database.read_rows(ids.len(), move |txn| catalog::has(txn, &ids)).await
    }

    async fn item_count(&self) -> Result<u64, StoreError> {
        self.database.read(catalog::count)
    }

    async fn put_users(&self, users: Vec<User>) -> Result<(), StoreError> {
        let ids = users.iter().map(|user| user.user_id.clone()).collect();
        self.write_users(users.len(), ids, move |txn| users::put(txn, &users)).await
    }

    async fn delete_user(&self, id: &UserId) -> Result<(), StoreError> {
        let user = id.clone();
        let work = move |txn: &WriteTransaction| {
            users::delete(txn, &user)?;
            history::delete(txn, &user)?;
            events::delete(txn, &user)?;
            exposures::delete(txn, &user)
        };
        self.write_users(1000, vec![id.clone()], work).await
    }

    async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError> {
        self.database.read(|txn| users::get(txn, id))
    }

    async fn append_events(&self, events: Vec<Event>) -> Result<Vec<bool>, StoreError> {
        let users = events.iter().map(|event| event.user_id.clone()).collect();
        let rows = events.len();
        let half_life = self.popularity_half_life;
        let work = move |txn: &WriteTransaction| events::append(txn, &events, half_life);
        self.write_users(rows, users, work).await
    }

    async fn scan_events(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Event>, StoreError> {
        let read = move |txn: &ReadTransaction| events::scan(txn, range, from.as_ref(), limit);
        self.database.read_rows(limit, read).await
    }

    async fn append_exposures(&self, exposures: Arc<[ExposureRow]>) -> Result<(), StoreError> {
        let rows = exposures.len();
        let work = move |txn: &WriteTransaction| exposures::append(txn, &exposures);
        self.writer.write(Sync::Durable, rows, work, || ()).await
    }

    async fn scan_exposures(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Exposure>, StoreError> {
        let read = move |txn: &ReadTransaction| exposures::scan(txn, range, from.as_ref(), limit);
        self.database.read_rows(limit, read).await
    }

    async fn forget_older(
        &self,
        retention: &Retention,
        now: TimestampMs,
    ) -> Result<u64, StoreError> {
        retention::forget_older(self, retention, now).await
    }

    async fn put_history(&self, entries: Vec<(UserId, HistoryEntry)>) -> Result<(), StoreError> {
        let prepare = |entries: Vec<(UserId, HistoryEntry)>| {
            let rows = history::rows(&entries);
            let users: HashSet<UserId> = entries.into_iter().map(|(user, _)| user).collect();
            (rows, users.into_iter().collect())
        };
        let (rows, users) = Self::prepare(entries.len(), entries, prepare).await?;
        self.write_users(rows.len(), users, move |txn| history::put(txn, &rows)).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> Result<History, StoreError> {
        let user = user.clone();
        self.database
            .read_rows(clicks.saturating_add(impressions), move |txn| {
                history::get(txn, &user, before, clicks, impressions)
            })
            .await
    }

    async fn user_view(
        &self,
        user: &UserId,
        before: TimestampMs,
        limits: HistoryLimits,
    ) -> Result<Arc<UserView>, StoreError> {
        let cached = self.users.get(user);
        let kept = match &cached {
            Some(view) if answers(view, before, limits) => return Ok(Arc::clone(view)),
            Some(view) if view.limits.cover(limits) => {
                let id = user.clone();
                let rows = limits.clicks.saturating_add(limits.impressions);
                let read = move |txn: &ReadTransaction| users::view(txn, &id, before, limits);
                return self.database.read_rows(rows, read).await.map(Arc::new);
            }
            Some(view) => view.limits.union(limits),
            None => limits,
        };
        self.read_view(user, before, limits, kept).await
    }

    async fn scan_histories(
        &self,
        from: Option<HistoryCursor>,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.database.read_rows(limit, move |txn| history::scan(txn, from.as_ref(), limit)).await
    }

    async fn put_item_stats(&self, stats: Vec<(ItemId, ItemStats)>) -> Result<(), StoreError> {
        let count = stats.len();
        let work = move |txn: &WriteTransaction, kept| {
            stats::put(txn, &stats)?;
            changes::append(txn, Change::Stats, stats.iter().map(|(id, _)| id), kept)
        };
        self.write_items(count, work).await
    }

    async fn item_stats(&self, ids: &[ItemId]) -> Result<Vec<ItemStats>, StoreError> {
        let ids = ids.to_vec();
        let half_life = self.popularity_half_life;
        self.database.read_rows(ids.len(), move |txn| stats::get(txn, &ids, half_life)).await
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
        self.database.read_rows(ids.len(), move |txn| stats::neighbours(txn, &ids)).await
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
        self.database.read_rows(keys.len(), move |txn| vectors::get(txn, &space, &keys)).await
    }

    async fn scan_vectors(
        &self,
        space: &VectorSpace,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<VectorPage>, StoreError> {
        let (space, from, to) = (space.clone(), from.to_vec(), to.map(<[u8]>::to_vec));
        let read =
            move |txn: &ReadTransaction| vectors::scan(txn, &space, &from, to.as_deref(), limit);
        self.database.read_rows(limit, read).await.map(Some)
    }

    async fn document(&self, name: &str) -> Result<Option<Document>, StoreError> {
        self.database.read(|txn| documents::get(txn, name))
    }

    async fn put_document(
        &self,
        name: &str,
        bytes: Vec<u8>,
        expected: u64,
    ) -> Result<Option<u64>, StoreError> {
        let name = name.to_owned();
        let work = move |txn: &WriteTransaction| documents::put(txn, &name, &bytes, expected);
        self.writer.write(Sync::Durable, 1, work, || ()).await
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        let (database, written) = (Arc::clone(&self.database), Arc::clone(&self.items_written));
        Some(Arc::new(EmbeddedChanges::new(database, written)))
    }

    async fn copy(&self) -> Result<Option<PathBuf>, StoreError> {
        let database = Arc::clone(&self.database);
        // Goes on when nobody waits for it any more: then nothing is left of it at its end.
        let copied = tokio::task::spawn_blocking(move || copy::beside(&database).map(Unclaimed));
        let copied = copied
            .await
            .map_err(|error| StoreError::Unavailable(format!("copying was cut short: {error}")))?;
        copied.map(|copy| Some(copy.claim()))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database.read(|txn| catalog::count(txn).map(|_| ()))
    }

    async fn close(&self) -> Result<(), StoreError> {
        let (writer, database) = (Arc::clone(&self.writer), Arc::clone(&self.database));
        let closed = tokio::task::spawn_blocking(move || {
            writer.stop();
            database.close()
        });
        closed
            .await
            .map_err(|error| StoreError::Unavailable(format!("closing was cut short: {error}")))?
    }
}
