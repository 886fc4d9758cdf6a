//! Follows what other processes change in a shared catalog.
//!
//! One task reads the changes, on and on; another reads the changed items again, in the order of the
//! changes; a third measures how far that is behind. Whatever fails is tried again, from where it
//! was.

mod apply;
mod read;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use plugrank_store::{ChangeLag, ChangeLog, ChangePosition, Changes};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

pub(crate) use apply::reread_stats;

use crate::state::State;

/// Reads that may wait to be applied.
const STEPS: usize = 64;
/// How often the distance is measured.
const MEASURE: Duration = Duration::from_secs(1);

/// How far retrieval is behind the catalog.
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

/// What is known of following, for metrics and snapshots.
#[derive(Debug)]
pub(crate) struct Followed {
    connected: AtomicBool,
    applied: AtomicU64,
    resyncs: AtomicU64,
    lag: Mutex<ChangeLag>,
    /// What the catalog in memory stands for, or something newer.
    position: Mutex<Option<ChangePosition>>,
    /// Whether every change that there was has been applied once.
    caught_up: watch::Sender<bool>,
}

impl Followed {
    pub(crate) fn new(position: Option<ChangePosition>) -> Self {
        Self {
            connected: AtomicBool::new(true),
            applied: AtomicU64::new(0),
            resyncs: AtomicU64::new(0),
            lag: Mutex::default(),
            position: Mutex::new(position),
            caught_up: watch::Sender::new(false),
        }
    }

    pub(crate) fn position(&self) -> Option<ChangePosition> {
        self.position.lock().clone()
    }

    pub(crate) fn status(&self) -> FollowStatus {
        FollowStatus {
            connected: self.connected.load(Ordering::Relaxed),
            lag: *self.lag.lock(),
            applied: self.applied.load(Ordering::Relaxed),
            resyncs: self.resyncs.load(Ordering::Relaxed),
        }
    }

    /// Returns when every change that there was at the start has been applied.
    pub(crate) async fn caught_up(&self) {
        let mut caught_up = self.caught_up.subscribe();
        // The sender lives as long as this does.
        let _ = caught_up.wait_for(|caught_up| *caught_up).await;
    }
}

/// What the reading task hands on.
#[derive(Debug)]
enum Step {
    /// Changes, and when they were read.
    Apply(Instant, Changes),
    /// Changes were missed: read the whole catalog, which then stands for this position.
    Resync(Instant, ChangePosition),
    /// There was nothing further.
    CaughtUp,
}

/// Tasks that end with this value.
pub(crate) struct Follower(Vec<JoinHandle<()>>);

impl Follower {
    /// Follows from a position on.
    pub(crate) fn start(
        state: &Arc<State>,
        log: Arc<dyn ChangeLog>,
        position: ChangePosition,
    ) -> Self {
        let (to, steps) = mpsc::channel(STEPS);
        let read = read::read(Arc::clone(state), Arc::clone(&log), position, to);
        let apply = apply::apply_all(Arc::clone(state), steps);
        let measure = measure(Arc::clone(state), log);
        Self(vec![tokio::spawn(read), tokio::spawn(apply), tokio::spawn(measure)])
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn measure(state: Arc<State>, log: Arc<dyn ChangeLog>) {
    loop {
        tokio::time::sleep(MEASURE).await;
        let Some(position) = state.followed.position() else { continue };
        match log.lag(&position).await {
            Ok(lag) => *state.followed.lag.lock() = lag,
            // What cannot be read is not behind less than it was.
            Err(_) => state.followed.lag.lock().age += MEASURE,
        }
    }
}

/// Waits longer from one failure to the next, and says the first of a row.
#[derive(Debug)]
pub(crate) struct Pause {
    next: Duration,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    pub(crate) const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// What was tried has worked.
    pub(crate) fn over(&mut self) {
        *self = Self::new();
    }

    pub(crate) async fn after(&mut self, what: &str, error: &(dyn std::fmt::Display + Sync)) {
        if self.next == Self::FIRST {
            tracing::warn!(%error, "{what}; it is tried again until it works");
        }
        tokio::time::sleep(self.next).await;
        self.next = Self::LONGEST.min(self.next * 2);
    }
}
