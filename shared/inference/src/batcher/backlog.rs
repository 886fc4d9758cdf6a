//! How long the pending work takes, read without the queue's lock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{policy::Policy, run_times::RunTimes, shape::Dims};

/// What waits and what runs, as time.
pub(super) struct Backlog {
    start: Instant,
    /// Nanoseconds that what waits would run.
    waiting: AtomicU64,
    /// When each model's run is predicted to end, in nanoseconds since `start`; 0 while it is idle.
    ends: Box<[AtomicU64]>,
}

impl Backlog {
    pub(super) fn new(models: usize) -> Self {
        let ends = (0..models).map(|_| AtomicU64::new(0)).collect();
        Self { start: Instant::now(), waiting: AtomicU64::new(0), ends }
    }

    /// Model `number` runs until about `end`.
    pub(super) fn began(&self, number: usize, end: Instant) {
        if let Some(place) = self.ends.get(number) {
            place.store(self.nanos(end).max(1), Ordering::Relaxed);
        }
    }

    /// Model `number` is idle again.
    pub(super) fn ended(&self, number: usize) {
        if let Some(place) = self.ends.get(number) {
            place.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn set_waiting(&self, time: Duration) {
        self.waiting.store(nanos(time), Ordering::Relaxed);
    }

    /// How long the models would take together.
    pub(super) fn total(&self) -> Duration {
        let mut total = self.waiting.load(Ordering::Relaxed);
        let mut now = None;
        for end in &self.ends {
            let end = end.load(Ordering::Relaxed);
            if end > 0 {
                let now = *now.get_or_insert_with(|| self.nanos(Instant::now()));
                total = total.saturating_add(end.saturating_sub(now));
            }
        }
        Duration::from_nanos(total / self.ends.len().max(1) as u64)
    }

    fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.start))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What waits, counted by padded size.
#[derive(Default)]
pub(super) struct WaitingSizes {
    sizes: Vec<WaitingSize>,
}

struct WaitingSize {
    padded: Dims,
    entries: usize,
    time: Duration,
}

impl WaitingSizes {
    /// One entry more.
    pub(super) fn add(&mut self, dims: Dims, policy: &Policy, times: &RunTimes) {
        let padded = policy.buckets.pad(dims);
        let at = self.sizes.iter().position(|size| size.padded == padded);
        let at = at.unwrap_or_else(|| {
            self.sizes.push(WaitingSize { padded, entries: 0, time: Duration::ZERO });
            self.sizes.len() - 1
        });
        self.sizes[at].entries += 1;
        self.sizes[at].measure(policy, times);
    }

    /// One entry less.
    pub(super) fn remove(&mut self, dims: Dims, policy: &Policy, times: &RunTimes) {
        let padded = policy.buckets.pad(dims);
        if let Some(size) = self.sizes.iter_mut().find(|size| size.padded == padded) {
            size.entries = size.entries.saturating_sub(1);
            size.measure(policy, times);
        }
    }

    /// How long all of them would run.
    pub(super) fn time(&self) -> Duration {
        self.sizes.iter().map(|size| size.time).sum()
    }
}

impl WaitingSize {
    /// By what runs have taken lately, in the fullest batches the entries make.
    fn measure(&mut self, policy: &Policy, times: &RunTimes) {
        let buckets = &policy.buckets;
        let time =
            |users: usize| times.predict(buckets.shape(users, self.padded)).unwrap_or_default();
        let most = buckets.max_users(self.padded).max(1);
        let (full, rest) = (self.entries / most, self.entries % most);
        self.time = Duration::ZERO;
        if full > 0 {
            self.time += time(most).saturating_mul(u32::try_from(full).unwrap_or(u32::MAX));
        }
        if rest > 0 {
            self.time += time(rest);
        }
    }
}
