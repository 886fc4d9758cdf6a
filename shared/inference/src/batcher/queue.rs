//! Entries that wait, and the models that run them.

use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use plugrank_contract::Deadline;
use tokio::{sync::oneshot, time::Instant};
use tracing::Span;

use super::{
    arrivals::Arrivals,
    backlog::WaitingSizes,
    batch_error::BatchError,
    model::{BatchModel, Entry},
    policy::{BatchDecision, Waiting},
    report::CloseReason,
    runner::{Answer, Batch, Runner, Waiter},
    shape::Shape,
    shared::Shared,
};

/// An entry that waits.
pub(super) struct Pending<I, O> {
    waiting: Waiting,
    input: I,
    reply: oneshot::Sender<Answer<O>>,
    /// The span of the call it is part of.
    span: Span,
}

impl<I, O> AsRef<Waiting> for Pending<I, O> {
    fn as_ref(&self) -> &Waiting {
        &self.waiting
    }
}

struct State<M: BatchModel> {
    waiting: Vec<Pending<M::Input, M::Output>>,
    sizes: WaitingSizes,
    arrivals: Arrivals,
    /// Models that run nothing, the one used last at the end.
    idle: Vec<Box<Runner<M>>>,
    /// Worker threads that wait for something to do.
    sleeping: usize,
    stopped: bool,
    /// Places of the entries of a batch, while it is taken.
    chosen: Vec<usize>,
}

/// The queue between callers and models. Only entries whose deadline passed or whose call was
/// dropped leave it without being run.
pub(super) struct Queue<M: BatchModel> {
    pub(super) shared: Shared,
    models: usize,
    state: Mutex<State<M>>,
    changed: Condvar,
}

/// What happened to an entry.
pub(super) enum Submitted<M: BatchModel> {
    /// An idle model holds it; the caller that submitted it runs the model.
    Taken(Box<Runner<M>>),
    /// It waits, and the answer will be here.
    Waits(oneshot::Receiver<Answer<M::Output>>),
}

/// What happened to the parts of a request.
pub(super) struct SubmittedParts<M: BatchModel> {
    /// An idle model that holds the first; the caller that submitted it runs the model.
    pub(super) taken: Option<Box<Runner<M>>>,
    /// Where the answers of the others will be, in their order.
    pub(super) answers: Vec<oneshot::Receiver<Answer<M::Output>>>,
}

impl<M: BatchModel> Queue<M> {
    pub(super) fn new(shared: Shared, models: Vec<M>) -> Self {
        let count = models.len();
        let runners = models.into_iter().enumerate();
        let state = State {
            waiting: Vec::new(),
            sizes: WaitingSizes::default(),
            arrivals: Arrivals::default(),
            idle: runners.map(|(number, model)| Box::new(Runner::new(number, model))).collect(),
            sleeping: 0,
            stopped: false,
            chosen: Vec::new(),
        };
        Self { shared, models: count, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds one entry. With `in_place` an idle model takes it at once, where nothing else waits or
    /// runs and the policy does not wait for more rows.
    pub(super) fn submit(
        &self,
        entry: Entry<M::Input>,
        deadline: Deadline,
        span: &Span,
        in_place: bool,
    ) -> Result<Submitted<M>, BatchError> {
        let now = Instant::now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.stopped {
            return Err(BatchError::Stopped);
        }
        state.arrivals.record(now);
        let entry = match in_place {
            true => match self.take_alone(state, entry, deadline, now) {
                Ok(runner) => return Ok(Submitted::Taken(runner)),
                Err(entry) => entry,
            },
            false => entry,
        };
        let answer = self.add(state, entry, (now, deadline), span);
        self.wake(guard);
        Ok(Submitted::Waits(answer))
    }

    /// Adds entries that arrive together, the parts of one request. With `in_place` an idle model takes
    /// the first at once, as [`Self::submit`] says.
    pub(super) fn submit_all(
        &self,
        entries: Vec<Entry<M::Input>>,
        deadline: Deadline,
        span: &Span,
        in_place: bool,
    ) -> Result<SubmittedParts<M>, BatchError> {
        let now = Instant::now();
        let mut answers = Vec::with_capacity(entries.len());
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.stopped {
            return Err(BatchError::Stopped);
        }
        state.arrivals.record(now);
        let (mut entries, mut taken) = (entries.into_iter(), None);
        if in_place && let Some(first) = entries.next() {
            match self.take_alone(state, first, deadline, now) {
                Ok(runner) => taken = Some(runner),
                Err(first) => answers.push(self.add(state, first, (now, deadline), span)),
            }
        }
        answers.extend(entries.map(|entry| self.add(state, entry, (now, deadline), span)));
        self.wake(guard);
        Ok(SubmittedParts { taken, answers })
    }

    /// Whether there is more than one model.
    pub(super) fn several(&self) -> bool {
        self.models > 1
    }

    /// Whether nothing waits and nothing runs.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty() && state.idle.len() == self.models
    }

    /// Gives an entry to an idle model by itself. Only with nothing else under way: otherwise what the
    /// caller's thread has to do would wait for this run while other threads have nothing to do.
    fn take_alone(
        &self,
        state: &mut State<M>,
        entry: Entry<M::Input>,
        deadline: Deadline,
        now: Instant,
    ) -> Result<Box<Runner<M>>, Entry<M::Input>> {
        let waiting = Waiting { dims: entry.dims, arrived: now, deadline };
        if state.waiting.is_empty()
            && state.idle.len() == self.models
            && let BatchDecision::Run { reason, shape } = self.shared.policy.decide(
                now,
                &[waiting],
                state.idle.len(),
                (&state.arrivals, &self.shared.times),
                &mut state.chosen,
            )
            && let Some(mut runner) = state.idle.pop()
        {
            let rows = self.shared.policy.buckets.row_axis().rows(waiting.dims);
            runner.batch = Batch { reason, shape, oldest: Duration::ZERO, rows };
            runner.entries.push(entry);
            self.shared.began(runner.number, shape, now);
            return Ok(runner);
        }
        Err(entry)
    }

    /// Has an entry wait.
    fn add(
        &self,
        state: &mut State<M>,
        Entry { dims, input }: Entry<M::Input>,
        (arrived, deadline): (Instant, Deadline),
        span: &Span,
    ) -> oneshot::Receiver<Answer<M::Output>> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { dims, arrived, deadline };
        state.sizes.add(dims, &self.shared.policy, &self.shared.times);
        self.shared.backlog.set_waiting(state.sizes.time());
        state.waiting.push(Pending { waiting, input, reply, span: span.clone() });
        answer
    }

    /// Wakes a worker where there is something to decide on.
    fn wake(&self, state: MutexGuard<'_, State<M>>) {
        let wake = state.sleeping > 0 && !state.waiting.is_empty() && !state.idle.is_empty();
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }

    /// Takes back a model that ran `done` and waits for a batch; `None` when the queue has stopped.
    pub(super) fn next(&self, done: Option<Box<Runner<M>>>) -> Option<Box<Runner<M>>> {
        let mut guard = self.state.lock();
        guard.idle.extend(done);
        loop {
            let state = &mut *guard;
            if state.stopped {
                return None;
            }
            let mut time = None;
            if !state.waiting.is_empty() {
                let now = Instant::now();
                self.drop_gone(state, now);
                if !state.idle.is_empty() {
                    match self.shared.policy.decide(
                        now,
                        &state.waiting,
                        state.idle.len(),
                        (&state.arrivals, &self.shared.times),
                        &mut state.chosen,
                    ) {
                        BatchDecision::Run { reason, shape } => {
                            let taken = self.take(state, now, reason, shape);
                            // What remains is another idle worker's to decide on.
                            self.wake(guard);
                            return taken;
                        }
                        BatchDecision::Wait { until } => {
                            time = until.map(|until| until.saturating_duration_since(now));
                        }
                    }
                }
            }
            guard.sleeping += 1;
            match time {
                None => self.changed.wait(&mut guard),
                Some(time) => drop(self.changed.wait_for(&mut guard, time)),
            }
            guard.sleeping -= 1;
        }
    }

    /// Takes back a model that ran on a caller's thread.
    pub(super) fn give_back(&self, runner: Box<Runner<M>>) {
        let mut state = self.state.lock();
        state.idle.push(runner);
        self.wake(state);
    }

    /// Moves the entries chosen to an idle model.
    fn take(
        &self,
        state: &mut State<M>,
        now: Instant,
        reason: CloseReason,
        shape: Shape,
    ) -> Option<Box<Runner<M>>> {
        let mut runner = state.idle.pop()?;
        let (mut rows, mut oldest) = (0, Duration::ZERO);
        // From the back, so that the places still to come stay valid.
        state.chosen.sort_unstable_by(|a, b| b.cmp(a));
        for at in state.chosen.drain(..) {
            let Pending { waiting, input, reply, span } = state.waiting.swap_remove(at);
            let Waiting { dims, arrived, deadline } = waiting;
            rows += self.shared.policy.buckets.row_axis().rows(dims);
            oldest = oldest.max(now.saturating_duration_since(arrived));
            state.sizes.remove(dims, &self.shared.policy, &self.shared.times);
            runner.entries.push(Entry { dims, input });
            runner.waiters.push(Waiter { deadline, reply, span });
        }
        runner.batch = Batch { reason, shape, oldest, rows };
        self.shared.began(runner.number, shape, now);
        self.shared.backlog.set_waiting(state.sizes.time());
        Some(runner)
    }

    /// Removes entries whose deadline passed or whose call was dropped.
    fn drop_gone(&self, state: &mut State<M>, now: Instant) {
        let (mut expired, mut cancelled) = (0, 0);
        let gone = state.waiting.extract_if(.., |entry| {
            let late = entry.waiting.deadline.has_passed_at(now);
            late || entry.reply.is_closed()
        });
        for entry in gone {
            state.sizes.remove(entry.waiting.dims, &self.shared.policy, &self.shared.times);
            if entry.reply.is_closed() {
                cancelled += 1;
            } else {
                expired += 1;
                let _ = entry.reply.send(Err(BatchError::Expired));
            }
        }
        if expired + cancelled > 0 {
            self.shared.backlog.set_waiting(state.sizes.time());
            self.shared.observer.left(expired, cancelled);
        }
    }

    /// Entries that wait.
    pub(super) fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Ends the workers; entries that wait get `Stopped`.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        for entry in state.waiting.drain(..) {
            let _ = entry.reply.send(Err(BatchError::Stopped));
        }
        drop(state);
        self.changed.notify_all();
    }
}
