//! A model with the batch it runs.

use std::{
    mem,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use plugrank_contract::{Deadline, panic_text};
use tokio::{sync::oneshot, time::Instant};
use tracing::Span;

use super::{
    batch_error::BatchError,
    model::{BatchModel, Entry, RunError},
    report::{BatchReport, CloseReason},
    shape::Shape,
    shared::Shared,
    spans,
};

/// An entry's answer, with the padded rows of the batch it ran in.
pub(super) type Answer<O> = Result<(O, usize), BatchError>;

/// Who waits for an entry's answer.
pub(super) struct Waiter<O> {
    pub(super) deadline: Deadline,
    pub(super) reply: oneshot::Sender<Answer<O>>,
    /// The span of the call that the entry is part of.
    pub(super) span: Span,
}

/// What is known about a batch before it runs.
#[derive(Clone, Copy)]
pub(super) struct Batch {
    pub(super) reason: CloseReason,
    pub(super) shape: Shape,
    /// How long its oldest entry waited.
    pub(super) oldest: Duration,
    pub(super) rows: usize,
}

/// A model and the batch it runs; its lists are used again from batch to batch.
pub(super) struct Runner<M: BatchModel> {
    pub(super) number: usize,
    model: M,
    pub(super) batch: Batch,
    pub(super) entries: Vec<Entry<M::Input>>,
    /// One an entry; none where the caller itself runs the model.
    pub(super) waiters: Vec<Waiter<M::Output>>,
    answers: Vec<Result<M::Output, String>>,
}

impl<M: BatchModel> Runner<M> {
    pub(super) fn new(number: usize, model: M) -> Self {
        let shape = Shape { users: 0, candidates: 0, history: 0 };
        let reason = CloseReason::WorkerIdle;
        let batch = Batch { reason, shape, oldest: Duration::ZERO, rows: 0 };
        let (entries, waiters, answers) = Default::default();
        Self { number, model, batch, entries, waiters, answers }
    }

    /// Runs the batch and answers everyone who waits for it. Where it fails and one entry may be
    /// the reason, each is run alone.
    pub(super) fn run_batch(&mut self, shared: &Shared) {
        let batch = self.batch;
        let entries = self.entries.len();
        // Of use as long as anybody waits.
        let deadline = Deadline::last(self.waiters.iter().map(|waiter| waiter.deadline));
        let calls = self.waiters.iter().map(|waiter| &waiter.span);
        let span = spans::batch(shared, &batch, entries, calls);
        let ran = span.in_scope(|| self.attempt(shared, &batch, 0..entries, deadline));
        let mut waiters = mem::take(&mut self.waiters);
        match ran {
            Ok(padded_rows) => {
                for (answer, waiter) in self.answers.drain(..).zip(waiters.drain(..)) {
                    let answer = answer.map_err(BatchError::Failed);
                    let _ = waiter.reply.send(answer.map(|output| (output, padded_rows)));
                }
            }
            Err(RunError { message, separable }) => {
                let alone = separable && entries > 1;
                failed(&span, &batch, entries, &message, alone);
                for (at, waiter) in waiters.drain(..).enumerate() {
                    let answer = if alone {
                        span.in_scope(|| self.run_alone(shared, at, &waiter))
                    } else {
                        Err(BatchError::Failed(message.clone()))
                    };
                    let _ = waiter.reply.send(answer);
                }
            }
        }
        self.waiters = waiters;
        self.entries.clear();
    }

    /// Runs the only entry, on its caller's thread.
    pub(super) fn run_in_place(
        &mut self,
        shared: &Shared,
        deadline: Deadline,
        call: &Span,
    ) -> Answer<M::Output> {
        let batch = self.batch;
        let span = spans::batch(shared, &batch, 1, std::iter::once(call));
        let ran = span.in_scope(|| self.attempt(shared, &batch, 0..1, deadline));
        self.entries.clear();
        match ran {
            Ok(padded_rows) => {
                let none = || Err("there is no answer".to_owned());
                let output = self.answers.pop().unwrap_or_else(none);
                output.map(|output| (output, padded_rows)).map_err(BatchError::Failed)
            }
            Err(RunError { message, .. }) => {
                failed(&span, &batch, 1, &message, false);
                Err(BatchError::Failed(message))
            }
        }
    }

    /// Runs an entry of a batch that failed.
    fn run_alone(
        &mut self,
        shared: &Shared,
        at: usize,
        waiter: &Waiter<M::Output>,
    ) -> Answer<M::Output> {
        let now = Instant::now();
        if waiter.reply.is_closed() || waiter.deadline.has_passed_at(now) {
            return Err(BatchError::Expired);
        }
        let dims = self.entries[at].dims;
        let buckets = &shared.policy.buckets;
        let shape = buckets.shape(1, buckets.pad(dims));
        let rows = buckets.row_axis().rows(dims);
        let batch = Batch { reason: CloseReason::Retried, shape, rows, ..self.batch };
        shared.began(self.number, shape, now);
        let ran = self.attempt(shared, &batch, at..at + 1, waiter.deadline);
        let padded_rows = ran.map_err(|error| BatchError::Failed(error.message))?;
        let output = self.answers.pop().ok_or(BatchError::Stopped)?;
        output.map(|output| (output, padded_rows)).map_err(BatchError::Failed)
    }

    /// Runs entries; on success `answers` has one for each. Answers the padded rows.
    fn attempt(
        &mut self,
        shared: &Shared,
        batch: &Batch,
        entries: Range<usize>,
        deadline: Deadline,
    ) -> Result<usize, RunError> {
        let Batch { reason, shape, oldest, rows } = *batch;
        let Self { model, answers, .. } = self;
        let entries = &self.entries[entries];
        answers.clear();
        let begun = std::time::Instant::now();
        let ran = guarded(|| model.run(shape, entries, deadline, answers));
        let run = begun.elapsed();
        let ran = if ran.is_ok() && answers.len() != entries.len() {
            let (got, expected) = (answers.len(), entries.len());
            Err(RunError::of_the_model(format!("{got} outputs for {expected} entries")))
        } else {
            ran
        };
        if ran.is_ok() {
            shared.times.update(shape, run);
        }
        shared.backlog.ended(self.number);
        let padded_rows = shared.policy.buckets.row_axis().padded_rows(shape);
        // Reported first, so that who has the answer also finds it in the metrics.
        shared.observer.batch(&BatchReport {
            reason,
            entries: entries.len(),
            rows,
            padded_rows,
            shape,
            oldest,
            run,
            succeeded: ran.is_ok(),
        });
        ran.map(|()| padded_rows)
    }
}

fn failed(span: &Span, batch: &Batch, entries: usize, message: &str, alone: bool) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", message);
    tracing::error!(
        shape = %batch.shape,
        entries,
        error = message,
        each_is_run_alone = alone,
        "a batch failed"
    );
}

/// What a panic becomes.
pub(super) trait FromPanic {
    fn from_panic(message: String) -> Self;
}

impl FromPanic for String {
    fn from_panic(message: String) -> Self {
        message
    }
}

impl FromPanic for RunError {
    fn from_panic(message: String) -> Self {
        Self::of_an_entry(message)
    }
}

/// The run's result, a panic turned into an error.
pub(super) fn guarded<T, E: FromPanic>(run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        Err(E::from_panic(format!("it panicked: {}", panic_text(panic.as_ref()))))
    })
}
