//! Follows what any process changes in a catalog.
//!
//! One task reads the changes, on and on; another reads the changed items again, in the order of the
//! changes; a third measures how far that is behind. What fails is tried again, from where it was.

mod apply;
mod catch_up;
mod read;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use plugrank_contract::ItemId;
use plugrank_store::{ChangeLag, ChangeLog, ChangePosition, Changes, Store};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::ItemTable;

pub use catch_up::catch_up;

/// Reads that may wait to be applied.
const STEPS: usize = 64;
/// How often the distance is measured.
const MEASURE: Duration = Duration::from_secs(1);

/// Why a sink could not apply a change.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Applies changes to the item table and to what else a process keeps of items.
///
/// [`Follower`] has an example.
#[async_trait]
pub trait ChangeSink: Send + Sync + 'static {
    /// Items were written or removed: reads them from the store again. The ids are distinct; calls
    /// come one after the other. A call that fails is made again.
    async fn changed(&self, ids: Vec<ItemId>) -> Result<(), SinkError>;
    /// Statistics of items were written, and are in the table already.
    fn stats_changed(&self) {}
}

/// Applies changes to the item table alone.
///
/// [`Follower`] has an example.
#[derive(Clone)]
pub struct TableSink {
    /// The table.
    pub items: Arc<ItemTable>,
    /// What it is read from.
    pub store: Arc<dyn Store>,
}

#[async_trait]
impl ChangeSink for TableSink {
    async fn changed(&self, ids: Vec<ItemId>) -> Result<(), SinkError> {
        self.items.refresh(self.store.as_ref(), &ids).await?;
        Ok(())
    }
}

/// What a [`Follower`] works with.
///
/// [`Follower`] has an example.
pub struct FollowParts {
    /// What changed items are read from.
    pub store: Arc<dyn Store>,
    /// The table of them.
    pub items: Arc<ItemTable>,
    /// The store's changes.
    pub log: Arc<dyn ChangeLog>,
    /// What the table stands for: taken before it was loaded.
    pub position: ChangePosition,
    /// Applies the changes.
    pub sink: Arc<dyn ChangeSink>,
}

/// How far a process is behind the catalog.
///
/// [`Followed::status`] tells it; [`Follower`] has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowStatus {
    /// Whether the store answered when it was last asked for changes.
    pub connected: bool,
    /// How far it was behind when that was last measured.
    pub lag: ChangeLag,
    /// Items read again because of a change.
    pub applied: u64,
    /// Times that the whole catalog was read again, as changes were missed.
    pub resyncs: u64,
}

/// What is known about following, for metrics and snapshots.
///
/// [`Follower`] has an example.
#[derive(Debug)]
pub struct Followed {
    connected: AtomicBool,
    applied: AtomicU64,
    resyncs: AtomicU64,
    lag: Mutex<ChangeLag>,
    /// What the table stands for, or something older.
    position: Mutex<ChangePosition>,
    /// Whether every change that there was has been applied once.
    caught_up: watch::Sender<bool>,
}

impl Followed {
    fn new(position: ChangePosition) -> Self {
        Self {
            connected: AtomicBool::new(true),
            applied: AtomicU64::new(0),
            resyncs: AtomicU64::new(0),
            lag: Mutex::default(),
            position: Mutex::new(position),
            caught_up: watch::Sender::new(false),
        }
    }

    /// What the table stands for: it has every change up to there.
    #[must_use]
    pub fn position(&self) -> ChangePosition {
        self.position.lock().clone()
    }

    /// How far the process is behind.
    #[must_use]
    pub fn status(&self) -> FollowStatus {
        FollowStatus {
            connected: self.connected.load(Ordering::Relaxed),
            lag: *self.lag.lock(),
            applied: self.applied.load(Ordering::Relaxed),
            resyncs: self.resyncs.load(Ordering::Relaxed),
        }
    }

    /// Returns when every change that there was at the start has been applied.
    pub async fn caught_up(&self) {
        let mut caught_up = self.caught_up.subscribe();
        // The sender lives as long as this does.
        let _ = caught_up.wait_for(|caught_up| *caught_up).await;
    }
}

/// What the reading task hands on.
#[derive(Debug)]
enum Step {
    Apply(Changes),
    /// Changes were missed: read the whole catalog, which then stands for this position.
    Resync(ChangePosition),
    /// There was nothing further.
    CaughtUp,
}

/// Tasks that end with this value.
///
/// ```
/// use std::sync::Arc;
///
/// use plugrank_contract::Item;
/// use plugrank_items::{FollowParts, Follower, ItemTable, TableSink};
/// use plugrank_store::{NewItem, Store};
/// use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let folder = tempfile::tempdir().unwrap();
/// # let file = folder.path().join("store.redb");
/// let store: Arc<dyn Store> =
///     Arc::new(EmbeddedStore::open(&file, EmbeddedOptions::default()).unwrap());
/// let log = store.changes().unwrap();
/// // The position comes first, then the catalog: what changes in between is applied twice, not missed.
/// let position = log.end().await.unwrap();
/// let items = ItemTable::new();
/// items.load(store.as_ref(), &|_| {}).await.unwrap();
/// # let lamp: Item = serde_json::from_value(serde_json::json!({"item_id": "lamp", "title": "Lamp", "text": "",
/// #     "categories": [], "created_at": null, "available": true, "image_hash": null, "features": {}})).unwrap();
/// store.put_items(vec![NewItem { item: lamp, image: None }]).await.unwrap();
///
/// let sink = Arc::new(TableSink { items: Arc::clone(&items), store: Arc::clone(&store) });
/// let parts = FollowParts { store, items: Arc::clone(&items), log, position, sink };
/// let follower = Follower::start(parts);
/// follower.followed().caught_up().await;
/// assert!(items.view().index_of("lamp").is_some());
/// assert_eq!(follower.followed().status().resyncs, 0);
/// # }
/// ```
#[derive(Debug)]
pub struct Follower {
    followed: Arc<Followed>,
    tasks: [JoinHandle<()>; 3],
}

impl Follower {
    /// Follows from a position on.
    #[must_use]
    pub fn start(parts: FollowParts) -> Self {
        let FollowParts { store, items, log, position, sink } = parts;
        let followed = Arc::new(Followed::new(position.clone()));
        let (to, steps) = mpsc::channel(STEPS);
        let read = read::read(Arc::clone(&followed), Arc::clone(&log), position, to);
        let applying = apply::Apply { followed: Arc::clone(&followed), store, items, sink };
        let measure = measure(Arc::clone(&followed), log);
        let tasks = [
            tokio::spawn(read),
            tokio::spawn(async move { applying.all(steps).await }),
            tokio::spawn(measure),
        ];
        Self { followed, tasks }
    }

    /// What is known about following.
    #[must_use]
    pub fn followed(&self) -> &Arc<Followed> {
        &self.followed
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn measure(followed: Arc<Followed>, log: Arc<dyn ChangeLog>) {
    loop {
        tokio::time::sleep(MEASURE).await;
        match log.lag(&followed.position()).await {
            Ok(lag) => *followed.lag.lock() = lag,
            // What cannot be read is not behind less than it was.
            Err(_) => followed.lag.lock().age += MEASURE,
        }
    }
}

/// Waits longer from one failure to the next, and logs the first of a row.
///
/// ```
/// use plugrank_items::follow::Pause;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let (mut pause, begun) = (Pause::new(), tokio::time::Instant::now());
/// pause.after("the store cannot be read", &"it is not reachable").await;
/// pause.after("the store cannot be read", &"it is not reachable").await;
/// assert_eq!(begun.elapsed().as_millis(), 50 + 100);
/// pause.over();
/// # }
/// ```
#[derive(Debug)]
pub struct Pause {
    next: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self::new()
    }
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    /// Before the first failure.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// What was tried has worked.
    pub fn over(&mut self) {
        *self = Self::new();
    }

    /// Waits after a failure.
    pub async fn after(&mut self, what: &str, error: &(dyn std::fmt::Display + Sync)) {
        if self.next == Self::FIRST {
            tracing::warn!(%error, "{what}; it is tried again until it works");
        }
        tokio::time::sleep(self.next).await;
        self.next = Self::LONGEST.min(self.next * 2);
    }
}

#[cfg(test)]
mod tests;
