//! The batcher as its callers see it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use tokio::{sync::oneshot, time::Instant};
use tracing::{Instrument, Span};

use super::{
    model::BatchModel,
    policy::{Policy, Waiting},
    queue::{Answer, BatchError, Next, Pending, Queue, Taken},
    report::{BatchObserver, BatchReport},
    run_times::RunTimes,
    shape::{Buckets, Dims},
    spans,
};
use crate::panic_text::panic_text;

/// Why a batcher could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
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

/// Runs every shape a batch can have on every model, so that none is met for the first time by a
/// request, and measures them. `progress` is told of shapes done and of all there are.
///
/// # Errors
/// When a shape does not run.
pub fn warm_up<M: BatchModel>(
    models: &mut [M],
    buckets: &Buckets,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<RunTimes, StartError> {
    let shapes = buckets.shapes();
    let total = shapes.len() * models.len();
    let mut times = RunTimes::default();
    let mut done = 0;
    for model in models {
        for &shape in &shapes {
            let failed = |message| StartError::Warm { shape, message };
            // The first run pays for memory and kernels; the second is what a request will see.
            guarded(|| model.warm(shape)).map_err(failed)?;
            let begun = std::time::Instant::now();
            guarded(|| model.warm(shape)).map_err(failed)?;
            times.record(shape, begun.elapsed());
            done += 1;
            progress(done, total);
        }
    }
    Ok(times)
}

/// An entry to run.
#[derive(Debug)]
pub struct Entry<I> {
    /// Its size.
    pub dims: Dims,
    /// What the model reads.
    pub input: I,
}

/// An entry's answer.
#[derive(Debug)]
pub struct Ran<O> {
    /// What the model answered.
    pub output: O,
    /// Rows of the batch it ran in, padding included.
    pub batch_rows: usize,
}

/// Merges entries of many callers into batches and runs them on worker threads, one a model.
///
/// Dropping the future of a call takes its entries out of the queue before they cost compute.
pub struct Batcher<M: BatchModel> {
    name: Arc<str>,
    queue: Arc<Queue<M::Input, M::Output>>,
    workers: Vec<thread::JoinHandle<()>>,
}

impl<M: BatchModel> Batcher<M> {
    /// Starts a worker thread for each of `models`, which [`warm_up`] has run and measured.
    ///
    /// # Errors
    /// Without models, or when the system gives no thread.
    pub fn start(
        name: &str,
        models: Vec<M>,
        policy: Policy,
        times: RunTimes,
        observer: Arc<dyn BatchObserver>,
    ) -> Result<Self, StartError> {
        if models.is_empty() {
            return Err(StartError::NoModel);
        }
        let queue = Arc::new(Queue::new(policy, times));
        let mut batcher = Self { name: name.into(), queue, workers: Vec::new() };
        for (number, model) in models.into_iter().enumerate() {
            let worker = Worker {
                name: Arc::clone(&batcher.name),
                queue: Arc::clone(&batcher.queue),
                model,
                observer: Arc::clone(&observer),
            };
            let thread = thread::Builder::new().name(format!("{name}-{number}"));
            batcher.workers.push(thread.spawn(move || worker.work())?);
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
        deadline: Option<Instant>,
    ) -> Result<Ran<M::Output>, BatchError> {
        let mut ran = self.run_all(vec![entry], deadline).await?;
        ran.pop().ok_or(BatchError::Stopped)
    }

    /// Runs the entries of one request (the parts of one that is larger than a batch); answers in
    /// their order.
    ///
    /// # Errors
    /// The first error of any entry, as [`BatchError`] says.
    pub async fn run_all(
        &self,
        entries: Vec<Entry<M::Input>>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Ran<M::Output>>, BatchError> {
        let span = spans::of_call(&self.name, entries.len());
        let answers = self.send(entries, deadline, &span)?;
        let answers = async {
            let mut ran = Vec::with_capacity(answers.len());
            for answer in answers {
                let (output, batch_rows) = answer.await.map_err(|_| BatchError::Stopped)??;
                ran.push(Ran { output, batch_rows });
            }
            Ok(ran)
        };
        let ran: Result<Vec<Ran<M::Output>>, BatchError> = answers.instrument(span.clone()).await;
        if let Some(last) = ran.as_ref().ok().and_then(|ran| ran.last()) {
            span.record("batch.padded_rows", last.batch_rows as i64);
        }
        ran
    }

    /// Queues entries; answers where each one's answer will be.
    fn send(
        &self,
        entries: Vec<Entry<M::Input>>,
        deadline: Option<Instant>,
        span: &Span,
    ) -> Result<Vec<oneshot::Receiver<Answer<M::Output>>>, BatchError> {
        let buckets = &self.queue.policy().buckets;
        let arrived = Instant::now();
        let mut answers = Vec::with_capacity(entries.len());
        let mut pending = Vec::with_capacity(entries.len());
        for Entry { dims, input } in entries {
            check(buckets, dims)?;
            let (reply, answer) = oneshot::channel();
            let waiting = Waiting { dims, arrived, deadline };
            pending.push(Pending { waiting, input, reply, span: span.clone() });
            answers.push(answer);
        }
        self.queue.push(pending);
        Ok(answers)
    }

    /// The shapes batches are padded to.
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.queue.policy().buckets
    }

    /// How long a lone entry of this size will run, when known.
    #[must_use]
    pub fn predict(&self, dims: Dims) -> Option<std::time::Duration> {
        let buckets = self.buckets();
        self.queue.predict(buckets.shape(1, buckets.pad(dims)))
    }

    /// How long the workers would take to work off what waits and what runs.
    #[must_use]
    pub fn backlog(&self) -> std::time::Duration {
        self.queue.backlog(self.workers.len())
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
            // Panics of a run are caught inside; there is nothing to hand on here.
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

struct Worker<M: BatchModel> {
    name: Arc<str>,
    queue: Arc<Queue<M::Input, M::Output>>,
    model: M,
    observer: Arc<dyn BatchObserver>,
}

impl<M: BatchModel> Worker<M> {
    fn work(mut self) {
        loop {
            match self.queue.next(|left| self.observer.left(left.expired, left.cancelled)) {
                Next::Stop => return,
                Next::Run(taken) => self.run(taken),
            }
        }
    }

    fn run(&mut self, taken: Taken<M::Input, M::Output>) {
        let Taken { reason, shape, until, oldest, rows, entries } = taken;
        let padded_rows = self.queue.policy().buckets.row_axis().padded_rows(shape);
        let count = entries.len();
        // Of use as long as anybody waits.
        let deadlines = entries.iter().map(|entry| entry.waiting.deadline);
        let deadline = deadlines.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        let mut calls = Vec::with_capacity(count);
        let (inputs, replies): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .map(|entry| {
                calls.push(entry.span);
                (entry.input, entry.reply)
            })
            .unzip();
        let name = &self.name;
        let facts = spans::Facts { name, reason, shape, rows, padded_rows, oldest, entries: count };
        let span = spans::of_batch(&facts, calls);
        let begun = std::time::Instant::now();
        let model = &mut self.model;
        let outputs =
            span.in_scope(|| guarded(|| model.run(shape, &inputs, deadline))).and_then(|outputs| {
                let got = outputs.len();
                if got == count {
                    Ok(outputs)
                } else {
                    Err(format!("{got} outputs for {count} entries"))
                }
            });
        let run = begun.elapsed();
        let succeeded = outputs.is_ok();
        self.queue.ended(until, shape, succeeded.then_some(run));
        // Reported first, so that whoever has the answer also finds it in the metrics.
        let report = BatchReport {
            reason,
            entries: count,
            rows,
            padded_rows,
            shape,
            oldest,
            run,
            succeeded,
        };
        self.observer.batch(&report);
        match outputs {
            Ok(outputs) => {
                for (output, reply) in outputs.into_iter().zip(replies) {
                    let _ = reply.send(Ok((output, padded_rows)));
                }
            }
            Err(message) => {
                span.record("otel.status_code", "ERROR");
                span.record("otel.status_description", message.as_str());
                tracing::error!(%shape, entries = count, error = message, "a batch failed");
                for reply in replies {
                    let _ = reply.send(Err(BatchError::Failed(message.clone())));
                }
            }
        }
    }
}

/// The run's result, a panic turned into an error.
fn guarded<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic_text(panic.as_ref());
        Err(format!("it panicked: {text}"))
    })
}
