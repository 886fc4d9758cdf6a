//! The batcher as its callers see it.

use std::{sync::Arc, thread, time::Duration};

use plugrank_contract::Deadline;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::{
    backlog::Backlog,
    batch_error::BatchError,
    model::{BatchModel, Entry},
    policy::Policy,
    queue::{Queue, Submitted, SubmittedParts},
    report::BatchObserver,
    run_times::RunTimes,
    runner::{Answer, Runner},
    shape::{Buckets, Dims},
    shared::Shared,
    spans,
};

/// Why a batcher could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BatcherStartError {
    /// A shape could not be run.
    #[error("warming {shape} failed: {message}")]
    Warm {
        /// Which shape.
        shape: super::shape::Shape,
        /// Why.
        message: String,
    },
    /// No models were given.
    #[error("a batcher needs at least one model to run")]
    NoModel,
    /// The system gave no thread.
    #[error("no thread for a worker: {0}")]
    Thread(#[from] std::io::Error),
}

/// An entry's answer.
#[derive(Debug)]
pub struct Ran<O> {
    /// What the model answered.
    pub output: O,
    /// Rows of the batch it ran in, padding included.
    pub batch_rows: usize,
}

/// Merges entries of many callers into batches and runs them, one worker thread a model.
///
/// Where the policy says so ([`Policy::run_in_place`]), a lone entry runs on the thread of its
/// caller instead, with a model that is idle. Dropping the future of a call takes its entries out
/// of the queue before they cost compute.
pub struct Batcher<M: BatchModel> {
    queue: Arc<Queue<M>>,
    workers: Vec<thread::JoinHandle<()>>,
    run_in_place: Duration,
}

impl<M: BatchModel> Batcher<M> {
    /// Starts a worker thread for each of `models`, which [`warm_up`] has run and measured.
    ///
    /// [`warm_up`]: super::warm_up()
    ///
    /// # Errors
    /// Without models, or when the system gives no thread.
    pub fn start(
        name: &str,
        models: Vec<M>,
        policy: Policy,
        mut times: RunTimes,
        observer: Arc<dyn BatchObserver>,
    ) -> Result<Self, BatcherStartError> {
        if models.is_empty() {
            return Err(BatcherStartError::NoModel);
        }
        policy.buckets.shapes().into_iter().for_each(|shape| times.expect(shape));
        let only_compute = models.iter().all(BatchModel::only_computes);
        let run_in_place = if only_compute { policy.run_in_place } else { Duration::ZERO };
        let (workers, backlog) = (models.len(), Backlog::new(models.len()));
        let shared = Shared { name: name.into(), policy, times, backlog, observer };
        let queue = Arc::new(Queue::new(shared, models));
        let mut batcher = Self { queue, workers: Vec::new(), run_in_place };
        for number in 0..workers {
            let queue = Arc::clone(&batcher.queue);
            let thread = thread::Builder::new().name(format!("{name}-{number}"));
            batcher.workers.push(thread.spawn(move || work(&queue))?);
        }
        Ok(batcher)
    }

    /// Runs one entry.
    ///
    /// # Errors
    /// As [`BatchError`] says.
    pub async fn run(
        &self,
        entry: Entry<M::Input>,
        deadline: Deadline,
    ) -> Result<Ran<M::Output>, BatchError> {
        let shared = &self.queue.shared;
        check(&shared.policy.buckets, entry.dims)?;
        let span = spans::call(&shared.name, 1);
        let in_place = self.runs_in_place(entry.dims);
        if in_place && deadline.has_passed() {
            shared.observer.left(1, 0);
            return Err(BatchError::Expired);
        }
        let answer = match self.queue.submit(entry, deadline, &span, in_place)? {
            Submitted::Taken(runner) => {
                Lease { runner: Some(runner), queue: &self.queue }.run(deadline, &span)
            }
            Submitted::Waits(answer) => received(answer.instrument(span.clone()).await),
        };
        let (output, batch_rows) = answer?;
        span.record("plugrank.batch.padded_rows", batch_rows as i64);
        Ok(Ran { output, batch_rows })
    }

    /// Runs the entries of one request (the parts of one that is larger than a batch); answers in
    /// their order.
    ///
    /// # Errors
    /// The first error of any entry, as [`BatchError`] says.
    pub async fn run_all(
        &self,
        mut entries: Vec<Entry<M::Input>>,
        deadline: Deadline,
    ) -> Result<Vec<Ran<M::Output>>, BatchError> {
        if entries.len() == 1
            && let Some(entry) = entries.pop()
        {
            return Ok(vec![self.run(entry, deadline).await?]);
        }
        let shared = &self.queue.shared;
        entries.iter().try_for_each(|entry| check(&shared.policy.buckets, entry.dims))?;
        let span = spans::call(&shared.name, entries.len());
        let in_place = entries.first().is_some_and(|entry| self.runs_in_place(entry.dims));
        if in_place && deadline.has_passed() {
            shared.observer.left(entries.len(), 0);
            return Err(BatchError::Expired);
        }
        let SubmittedParts { taken, answers } =
            self.queue.submit_all(entries, deadline, &span, in_place)?;
        let mut ran = Vec::with_capacity(answers.len() + 1);
        if let Some(runner) = taken {
            let runner = Some(runner);
            let (output, batch_rows) = Lease { runner, queue: &self.queue }.run(deadline, &span)?;
            ran.push(Ran { output, batch_rows });
        }
        for answer in answers {
            let (output, batch_rows) = received(answer.instrument(span.clone()).await)?;
            ran.push(Ran { output, batch_rows });
        }
        if let Some(last) = ran.last() {
            span.record("plugrank.batch.padded_rows", last.batch_rows as i64);
        }
        Ok(ran)
    }

    /// Whether a lone entry of this size is short enough for its caller's thread.
    fn runs_in_place(&self, dims: Dims) -> bool {
        !self.run_in_place.is_zero()
            && self.predict(dims).is_some_and(|run| run <= self.run_in_place)
    }

    /// Whether an entry of this size is better run as two halves now, by [`Policy::halve_from`].
    #[must_use]
    pub fn halves(&self, dims: Dims) -> bool {
        let from = self.queue.shared.policy.halve_from;
        self.queue.several()
            && !from.is_zero()
            && self.predict(dims).is_some_and(|run| run >= from)
            && self.queue.is_quiet()
    }

    /// The shapes batches are padded to.
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.queue.shared.policy.buckets
    }

    /// How long a lone entry of this size will run, when known.
    #[must_use]
    pub fn predict(&self, dims: Dims) -> Option<Duration> {
        let buckets = self.buckets();
        self.queue.shared.times.predict(buckets.shape(1, buckets.pad(dims)))
    }

    /// How long the workers would take to work off what waits and what runs.
    #[must_use]
    pub fn backlog(&self) -> Duration {
        self.queue.shared.backlog.total()
    }

    /// Entries that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether every worker still runs; false fails readiness.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.workers.iter().all(|worker| !worker.is_finished())
    }
}

impl<M: BatchModel> Drop for Batcher<M> {
    fn drop(&mut self) {
        self.queue.stop();
        for worker in self.workers.drain(..) {
            // Panics of a run are caught inside, so there is no error to report here.
            let _ = worker.join();
        }
    }
}

fn check(buckets: &Buckets, dims: Dims) -> Result<(), BatchError> {
    let limits = [
        ("candidates", dims.candidates, buckets.max_candidates()),
        ("history entries", dims.history, buckets.max_history()),
    ];
    for (what, got, largest) in limits {
        if got > largest {
            return Err(BatchError::TooLarge { what, got, largest });
        }
    }
    Ok(())
}

/// The answer, where there is one.
fn received<O>(
    answer: Result<Answer<O>, oneshot::error::RecvError>,
) -> Result<(O, usize), BatchError> {
    answer.unwrap_or(Err(BatchError::Stopped))
}

fn work<M: BatchModel>(queue: &Queue<M>) {
    let mut done = None;
    while let Some(mut runner) = queue.next(done) {
        runner.run_batch(&queue.shared);
        done = Some(runner);
    }
}

/// A model on a caller's thread. It goes back in any case.
struct Lease<'a, M: BatchModel> {
    runner: Option<Box<Runner<M>>>,
    queue: &'a Queue<M>,
}

impl<M: BatchModel> Lease<'_, M> {
    fn run(mut self, deadline: Deadline, call: &Span) -> Answer<M::Output> {
        let runner = self.runner.as_mut().ok_or(BatchError::Stopped)?;
        runner.run_in_place(&self.queue.shared, deadline, call)
    }
}

impl<M: BatchModel> Drop for Lease<'_, M> {
    fn drop(&mut self) {
        if let Some(runner) = self.runner.take() {
            self.queue.give_back(runner);
        }
    }
}
