//! The guarantees of every store.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{
    Event, Exposure, History, HistoryEntry, HistoryLimits, Item, ItemId, TimestampMs, User, UserId,
    UserView, item::ContentHash,
};

use crate::{
    ChangeLog, Decayed, Document, ExposureRow, LogCursor, LogPage, Retention, StoreError,
    TimeRange, VectorPage,
};

/// An item to write, with its image's bytes (JPEG or PNG) when it has one.
#[derive(Clone, Debug)]
pub struct NewItem {
    /// The item; `image_hash` is set by the store from `image`.
    pub item: Item,
    /// Image file as it is.
    pub image: Option<Vec<u8>>,
}

/// An item as stored, with the version of its content.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredItem {
    /// The item.
    pub item: Item,
    /// BLAKE3 over title, text, categories, features and image hash
    /// ([`content_hash`](crate::content_hash)).
    pub content: ContentHash,
}

/// How often an item was shown and clicked, and how popular it is.
///
/// Counted are exposures: one showing of one item to one user by one rank request counts once as
/// an impression and at most once as a click, however many events report it. A click whose
/// impression never arrived counts as both, for what was clicked was shown. An event without a
/// request id is an exposure of its own. A click is any positive event.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ItemStats {
    /// Times shown (clicked or not).
    pub impressions: u64,
    /// Times clicked.
    pub clicks: u64,
    /// The weights of its events, each exposure with its strongest, less the older they are.
    pub popularity: Decayed,
}

/// A space of cached vectors; different spaces never mix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VectorSpace {
    /// Modal vectors, by encoder version; keyed by what the text and image encoders read.
    Modal(String),
    /// Item records, by bundle version; keyed by item id and content hash.
    Record(String),
}

/// Where a scan of histories goes on: bytes that only the store it came from can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryCursor(pub Vec<u8>);

/// A page of users' histories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// Entries, in no order; there may be none on a page.
    pub entries: Vec<(UserId, HistoryEntry)>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<HistoryCursor>,
}

/// Catalog, behaviour and cached vectors.
///
/// A read after a write that returned sees it. Writes are durable when they return, unless said
/// otherwise. All methods may be called concurrently.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Writes items, replacing those of the same id.
    async fn put_items(&self, items: Vec<NewItem>) -> Result<(), StoreError>;
    /// Writes items without their images, which stay as they are: `image_hash` is taken as it is given.
    async fn update_items(&self, items: Vec<Item>) -> Result<(), StoreError>;
    /// Removes items and their images; unknown ids are no error. What is known about their behaviour
    /// (histories, statistics, neighbours) stays.
    async fn delete_items(&self, ids: &[ItemId]) -> Result<(), StoreError>;
    /// Items by id, same order; `None` where there is none.
    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Option<Arc<StoredItem>>>, StoreError>;
    /// Image bytes of items, same order.
    async fn images(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;
    /// Up to `limit` items after `after` in the store's own order; an empty page ends the scan.
    async fn scan_items(
        &self,
        after: Option<&ItemId>,
        limit: usize,
    ) -> Result<Vec<Arc<StoredItem>>, StoreError>;
    /// Whether there are items of these ids, same order.
    async fn has_items(&self, ids: &[ItemId]) -> Result<Vec<bool>, StoreError>;
    /// Number of items.
    async fn item_count(&self) -> Result<u64, StoreError>;

    /// Writes user profiles, replacing those of the same id.
    async fn put_users(&self, users: Vec<User>) -> Result<(), StoreError>;
    /// Removes all that is known of a user: profile, history, events and exposures. An unknown one is no
    /// error. What the events counted in statistics of items stays.
    async fn delete_user(&self, id: &UserId) -> Result<(), StoreError>;
    /// A user's profile.
    async fn user(&self, id: &UserId) -> Result<Option<Arc<User>>, StoreError>;

    /// Appends events in the order given; for each, whether it was new (its id not seen before of
    /// this user). When it returns, histories and item statistics have them. A positive event takes
    /// the place of another one of the same user, item and request, whichever came first; its entry
    /// has the timestamp of the first positive one. Further events of an exposure already so known
    /// change its popularity, where they weigh more, and the log (see [`ItemStats`]).
    async fn append_events(&self, events: Vec<Event>) -> Result<Vec<bool>, StoreError>;
    /// Events by their timestamps, page by page; a page has about `limit`. In the order of time in an
    /// embedded store, in Redis in no order. What was written before the reading began is in it.
    async fn scan_events(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Event>, StoreError>;
    /// Appends served lists. The same ones given again, as after an error, replace themselves.
    async fn append_exposures(&self, exposures: Arc<[ExposureRow]>) -> Result<(), StoreError>;
    /// Served lists, as [`Self::scan_events`] reads events; those that were appended by several callers at
    /// a time may be out of order by as much as a minute.
    async fn scan_exposures(
        &self,
        range: TimeRange,
        from: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage<Exposure>, StoreError>;
    /// Forgets events, exposures and entries of histories that are older than they are kept, counted
    /// from `now` by their own timestamps; how many. What they counted in statistics stays.
    async fn forget_older(
        &self,
        retention: &Retention,
        now: TimestampMs,
    ) -> Result<u64, StoreError>;
    /// Writes past impressions in bulk, without event ids and without touching statistics; writing
    /// one again (same user, item and timestamp) changes nothing. Of two that differ only in
    /// `clicked`, the clicked one stays, in any order.
    async fn put_history(&self, entries: Vec<(UserId, HistoryEntry)>) -> Result<(), StoreError>;
    /// The last `clicks` clicked and the last `impressions` not clicked entries strictly before
    /// `before`, merged in the order of [`History`].
    async fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> Result<History, StoreError>;

    /// A user as a request sees them: the profile, and the history strictly before `before` with at
    /// least the entries that `limits` ask for, where the user has so many; there may be more. The
    /// view's own limits say how far it goes.
    async fn user_view(
        &self,
        user: &UserId,
        before: TimestampMs,
        limits: HistoryLimits,
    ) -> Result<Arc<UserView>, StoreError> {
        let history = self.history(user, before, limits.clicks, limits.impressions);
        let (history, profile) = futures::try_join!(history, self.user(user))?;
        Ok(Arc::new(UserView::new(user.clone(), profile, history.entries, limits)))
    }

    /// The histories of all users, page by page; a page has about `limit` entries, or as many more as
    /// one user has. What was written before the scan began is in it, at least once; what is
    /// written meanwhile may be.
    async fn scan_histories(
        &self,
        from: Option<HistoryCursor>,
        limit: usize,
    ) -> Result<HistoryPage, StoreError>;

    /// Replaces what the loader counted of items. What events counted stays and is added to it.
    async fn put_item_stats(&self, stats: Vec<(ItemId, ItemStats)>) -> Result<(), StoreError>;
    /// Statistics of items, same order; zero where there are none.
    async fn item_stats(&self, ids: &[ItemId]) -> Result<Vec<ItemStats>, StoreError>;
    /// Replaces co-visitation neighbours of items, best first (used by the loader).
    async fn put_neighbours(
        &self,
        neighbours: Vec<(ItemId, Vec<(ItemId, f32)>)>,
    ) -> Result<(), StoreError>;
    /// Co-visitation neighbours of items, same order; empty where there are none.
    async fn neighbours(&self, ids: &[ItemId]) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError>;

    /// Writes cached vectors (as bytes). May be lost in a crash: they can be made again.
    async fn put_vectors(
        &self,
        space: &VectorSpace,
        entries: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError>;
    /// Cached vectors by key, same order; `None` where there is none.
    async fn vectors(
        &self,
        space: &VectorSpace,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError>;
    /// Up to `limit` cached vectors of a space in the order of their keys' bytes, from the key `from` on and before the
    /// key `to`, or to the end. `None` where the store does not keep them in order: look them up by key.
    async fn scan_vectors(
        &self,
        _space: &VectorSpace,
        _from: &[u8],
        _to: Option<&[u8]>,
        _limit: usize,
    ) -> Result<Option<VectorPage>, StoreError> {
        Ok(None)
    }

    /// The document of a name.
    async fn document(&self, name: &str) -> Result<Option<Document>, StoreError>;
    /// Writes a document whose revision is still `expected` (0: there is none yet). Answers the new
    /// revision; `None` where another writer was first, and nothing was written.
    async fn put_document(
        &self,
        name: &str,
        bytes: Vec<u8>,
        expected: u64,
    ) -> Result<Option<u64>, StoreError>;

    /// What is changed in the catalog, by this process and, where the store is shared, by others.
    /// `None`: the store keeps no record of it.
    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        None
    }

    /// Copies the store as it is at one moment into a new file of this machine, while it is read and written;
    /// the file is the caller's to remove. `None` where the store is no file of this process.
    async fn copy(&self) -> Result<Option<PathBuf>, StoreError> {
        Ok(None)
    }

    /// Whether the store answers, for readiness.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Writes what was begun, and closes the store before the process ends: code that still has it gets
    /// `Unavailable` from then on. A store that nothing has to be closed of does nothing.
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
