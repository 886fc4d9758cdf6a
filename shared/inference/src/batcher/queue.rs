//! Entries that wait, and the workers that take them.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use tracing::Span;

use super::{
    arrivals::Arrivals,
    policy::{Decision, Policy, Waiting},
    report::CloseReason,
    run_times::RunTimes,
    shape::{Dims, Shape},
};

/// Why an entry got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Its deadline passed before it ran.
    #[error("the deadline passed before a batch had room")]
    Expired,
    /// The run failed or panicked; the whole batch gets this.
    #[error("the model did not run: {0}")]
    Failed(String),
    /// The batcher stopped.
    #[error("the batcher stopped")]
    Stopped,
    /// The entry is larger than any shape.
    #[error("an entry of {got} {what} is larger than the largest shape, {largest}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there was.
        got: usize,
        /// How much there may be.
        largest: usize,
    },
}

/// An entry's answer, with the padded rows of the batch it ran in.
pub(super) type Answer<O> = Result<(O, usize), BatchError>;

/// An entry that waits.
pub(super) struct Pending<I, O> {
    pub(super) waiting: Waiting,
    pub(super) input: I,
    pub(super) reply: oneshot::Sender<Answer<O>>,
    /// The span of the call it is part of.
    pub(super) span: Span,
}

/// A batch a worker has taken.
pub(super) struct Taken<I, O> {
    pub(super) reason: CloseReason,
    pub(super) shape: Shape,
    /// When its run is predicted to end.
    pub(super) until: Instant,
    pub(super) oldest: Duration,
    pub(super) rows: usize,
    pub(super) entries: Vec<Pending<I, O>>,
}

/// What a worker does next.
pub(super) enum Next<I, O> {
    Run(Taken<I, O>),
    Stop,
}

struct State<I, O> {
    waiting: Vec<Pending<I, O>>,
    arrivals: Arrivals,
    times: RunTimes,
    idle: usize,
    /// When the batches that run are predicted to end.
    running: Vec<Instant>,
    stopped: bool,
}

/// The queue between callers and workers. Only entries that expired or whose caller went away
/// leave it without being run.
pub(super) struct Queue<I, O> {
    policy: Policy,
    state: Mutex<State<I, O>>,
    changed: Condvar,
}

/// Entries that left without being run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) expired: usize,
    pub(super) cancelled: usize,
}

impl<I, O> Queue<I, O> {
    pub(super) fn new(policy: Policy, times: RunTimes) -> Self {
        let state = State {
            waiting: Vec::new(),
            arrivals: Arrivals::default(),
            times,
            idle: 0,
            running: Vec::new(),
            stopped: false,
        };
        Self { policy, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A panic while the lock was held leaves plain data behind, so it is used on.
    fn lock(&self) -> MutexGuard<'_, State<I, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds entries that arrive together.
    pub(super) fn push(&self, entries: impl IntoIterator<Item = Pending<I, O>>) {
        let mut state = self.lock();
        if state.stopped {
            for entry in entries {
                let _ = entry.reply.send(Err(BatchError::Stopped));
            }
            return;
        }
        state.arrivals.record(Instant::now());
        state.waiting.extend(entries);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for a batch to run. `left` is told of entries that went away meanwhile.
    pub(super) fn next(&self, mut left: impl FnMut(Left)) -> Next<I, O> {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            if state.stopped {
                state.idle -= 1;
                return Next::Stop;
            }
            let now = Instant::now();
            let gone = drop_gone(&mut state.waiting, now);
            if gone != Left::default() {
                left(gone);
            }
            let waiting: Vec<Waiting> = state.waiting.iter().map(|entry| entry.waiting).collect();
            let decision =
                self.policy.decide(now, &waiting, state.idle, &state.arrivals, &state.times);
            match decision {
                Decision::Run { reason, entries, shape } => {
                    state.idle -= 1;
                    let until = now + state.times.predict(shape).unwrap_or_default();
                    state.running.push(until);
                    let taken =
                        self.take(&mut state.waiting, now, reason, &entries, (shape, until));
                    // What remains is another idle worker's to decide on.
                    let more = !state.waiting.is_empty() && state.idle > 0;
                    drop(state);
                    if more {
                        self.changed.notify_one();
                    }
                    return Next::Run(taken);
                }
                Decision::Wait { until: None } => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Decision::Wait { until: Some(until) } => {
                    let time = until.saturating_duration_since(now);
                    let waited = self.changed.wait_timeout(state, time);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn take(
        &self,
        waiting: &mut Vec<Pending<I, O>>,
        now: Instant,
        reason: CloseReason,
        chosen: &[usize],
        (shape, until): (Shape, Instant),
    ) -> Taken<I, O> {
        let mut places = chosen.to_vec();
        // From the back, so that the places still to come stay valid.
        places.sort_unstable_by(|a, b| b.cmp(a));
        let mut entries: Vec<_> = places.into_iter().map(|at| waiting.remove(at)).collect();
        entries.reverse();
        let axis = self.policy.buckets.row_axis();
        let age = |entry: &Pending<I, O>| now.saturating_duration_since(entry.waiting.arrived);
        Taken {
            reason,
            shape,
            until,
            oldest: entries.iter().map(age).max().unwrap_or_default(),
            rows: entries.iter().map(|entry| axis.rows(entry.waiting.dims)).sum(),
            entries,
        }
    }

    /// Notes that a batch that was to end at `until` has ended; `took` when it succeeded.
    pub(super) fn ended(&self, until: Instant, shape: Shape, took: Option<Duration>) {
        let mut state = self.lock();
        if let Some(at) = state.running.iter().position(|end| *end == until) {
            state.running.swap_remove(at);
        }
        if let Some(took) = took {
            state.times.record(shape, took);
        }
    }

    /// How long a run of `shape` will take, when known.
    pub(super) fn predict(&self, shape: Shape) -> Option<Duration> {
        self.lock().times.predict(shape)
    }

    /// How long `workers` would take to work off what waits and what runs, by what runs have
    /// taken lately. Entries of the same padded size are counted in the fullest batches they make.
    pub(super) fn backlog(&self, workers: usize) -> Duration {
        let state = self.lock();
        let buckets = &self.policy.buckets;
        let mut sizes: HashMap<Dims, usize> = HashMap::new();
        for entry in &state.waiting {
            *sizes.entry(buckets.pad(entry.waiting.dims)).or_default() += 1;
        }
        let time = |users: usize, padded: Dims| {
            state.times.predict(buckets.shape(users, padded)).unwrap_or_default()
        };
        let mut total = Duration::ZERO;
        for (padded, entries) in sizes {
            let most = buckets.max_users(padded).max(1);
            let full = u32::try_from(entries / most).unwrap_or(u32::MAX);
            total += time(most, padded).saturating_mul(full);
            if entries % most > 0 {
                total += time(entries % most, padded);
            }
        }
        let now = Instant::now();
        total +=
            state.running.iter().map(|end| end.saturating_duration_since(now)).sum::<Duration>();
        total / u32::try_from(workers.max(1)).unwrap_or(u32::MAX)
    }

    /// Entries that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Sends the workers home; what waits is answered `Stopped`.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for entry in state.waiting.drain(..) {
            let _ = entry.reply.send(Err(BatchError::Stopped));
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Removes entries whose deadline passed or whose caller went away.
fn drop_gone<I, O>(waiting: &mut Vec<Pending<I, O>>, now: Instant) -> Left {
    let mut left = Left::default();
    let gone = waiting.extract_if(.., |entry| {
        entry.reply.is_closed() || entry.waiting.deadline.is_some_and(|deadline| deadline <= now)
    });
    for entry in gone {
        if entry.reply.is_closed() {
            left.cancelled += 1;
        } else {
            left.expired += 1;
            let _ = entry.reply.send(Err(BatchError::Expired));
        }
    }
    left
}
