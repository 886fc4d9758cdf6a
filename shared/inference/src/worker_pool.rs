//! Threads that own sessions and run one job at a time.
//!
//! For work that is not scored in batches of rows (encoding texts, images, items and users). What
//! scores candidates is the batcher.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use plugrank_contract::{Deadline, panic_text};
use tokio::sync::oneshot;

use crate::InferenceError;

/// What happened to the jobs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Ran to their end, with or without an error of their own.
    pub ran: u64,
    /// Ended in a panic, which was caught.
    pub panicked: u64,
    /// Dropped before they ran, because their deadline had passed.
    pub expired: u64,
    /// Dropped before they ran, because their caller had gone.
    pub cancelled: u64,
    /// Not taken, because the queue was full.
    pub refused: u64,
}

#[derive(Default)]
struct Counters {
    ran: AtomicU64,
    panicked: AtomicU64,
    expired: AtomicU64,
    cancelled: AtomicU64,
    refused: AtomicU64,
}

type Job<S> = Box<dyn FnOnce(&mut S, &Shared) + Send>;

/// What the pool and its workers both see.
#[derive(Default)]
struct Shared {
    counters: Counters,
    stopping: AtomicBool,
}

/// A fixed number of threads, each with a state of its own (its sessions), behind one bounded
/// queue.
///
/// A job that panics costs its caller an error and no other caller anything: the thread goes on
/// with the same state, so a job must leave that state fit for use at every point where it may
/// panic. Sessions are.
pub struct WorkerPool<S> {
    sender: Option<Sender<Job<S>>>,
    capacity: usize,
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl<S: Send + 'static> WorkerPool<S> {
    /// Starts one thread for each of `states`, named `NAME-0`, `NAME-1`, ...; up to `capacity` jobs
    /// (at least 1) wait for them.
    ///
    /// # Errors
    /// Without states, or when the system gives no thread.
    pub fn start(name: &str, states: Vec<S>, capacity: usize) -> Result<Self, InferenceError> {
        if states.is_empty() {
            return Err(InferenceError::Pool(format!(
                "`{name}` has no worker; give it at least 1"
            )));
        }
        let capacity = capacity.max(1);
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        let mut pool =
            Self { sender: Some(sender), capacity, shared: Arc::default(), threads: Vec::new() };
        for (number, state) in states.into_iter().enumerate() {
            let (receiver, shared) = (receiver.clone(), Arc::clone(&pool.shared));
            let thread = thread::Builder::new().name(format!("{name}-{number}"));
            let thread = thread.spawn(move || work(state, &receiver, &shared));
            pool.threads.push(thread.map_err(|error| {
                InferenceError::Pool(format!("no thread for a worker of `{name}`: {error}"))
            })?);
        }
        Ok(pool)
    }

    /// Runs `job` on the next free worker. Dropping the future before then drops the job.
    ///
    /// # Errors
    /// [`InferenceError::QueueFull`] at once when as many jobs wait as may,
    /// [`InferenceError::Expired`] when the deadline passes before the job begins,
    /// [`InferenceError::Panicked`] when it panics, else what the job answers.
    pub async fn submit<T, F>(&self, deadline: Deadline, job: F) -> Result<T, InferenceError>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T, InferenceError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job<S> = Box::new(move |state, shared| {
            if let Some(result) = run(state, shared, deadline, &reply, job) {
                // The receiver is gone where the call was dropped.
                let _ = reply.send(result);
            }
        });
        let stopped = || InferenceError::Pool("the workers have stopped".into());
        let sender = self.sender.as_ref().ok_or_else(stopped)?;
        sender.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => {
                count(&self.shared.counters.refused);
                InferenceError::QueueFull { capacity: self.capacity }
            }
            TrySendError::Disconnected(_) => stopped(),
        })?;
        answer.await.map_err(|_| stopped())?
    }

    /// What happened to the jobs so far.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PoolCounts {
            ran: read(&counters.ran),
            panicked: read(&counters.panicked),
            expired: read(&counters.expired),
            cancelled: read(&counters.cancelled),
            refused: read(&counters.refused),
        }
    }

    /// Jobs that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sender.as_ref().map_or(0, Sender::len)
    }

    /// Number of threads.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.threads.len()
    }

    /// Whether every thread still runs; false fails readiness.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }
}

impl<S> Drop for WorkerPool<S> {
    /// Waits for the jobs that run; those that wait are dropped.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.sender = None;
        for thread in self.threads.drain(..) {
            // Panics of jobs are caught inside, so there is no error to report here.
            let _ = thread.join();
        }
    }
}

fn work<S>(mut state: S, jobs: &Receiver<Job<S>>, shared: &Shared) {
    for job in jobs {
        if !shared.stopping.load(Ordering::Relaxed) {
            job(&mut state, shared);
        }
    }
}

/// The job's result; `None` when no caller waits for it.
fn run<S, T>(
    state: &mut S,
    shared: &Shared,
    deadline: Deadline,
    reply: &oneshot::Sender<Result<T, InferenceError>>,
    job: impl FnOnce(&mut S) -> Result<T, InferenceError>,
) -> Option<Result<T, InferenceError>> {
    if reply.is_closed() {
        count(&shared.counters.cancelled);
        return None;
    }
    if deadline.has_passed() {
        count(&shared.counters.expired);
        return Some(Err(InferenceError::Expired));
    }
    Some(match catch_unwind(AssertUnwindSafe(|| job(state))) {
        Ok(result) => {
            count(&shared.counters.ran);
            result
        }
        Err(panic) => {
            count(&shared.counters.panicked);
            let message = panic_text(panic.as_ref()).to_owned();
            tracing::error!(message, "a job panicked; its worker goes on");
            Err(InferenceError::Panicked(message))
        }
    })
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use tokio::time::Instant;

    use super::*;

    /// A job that says when it began and ends when told to.
    struct BlockedJob {
        began: mpsc::Receiver<()>,
        release: mpsc::Sender<()>,
    }

    impl BlockedJob {
        fn new() -> (Self, impl FnOnce(&mut usize) -> Result<(), InferenceError> + Send + 'static) {
            let (says, began) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let job = move |runs: &mut usize| {
                *runs += 1;
                says.send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            };
            (Self { began, release }, job)
        }
    }

    fn pool(workers: usize, capacity: usize) -> Arc<WorkerPool<usize>> {
        Arc::new(WorkerPool::start("test", vec![0; workers], capacity).unwrap())
    }

    /// Occupies the only worker until the returned sender is used.
    fn occupy(
        pool: &Arc<WorkerPool<usize>>,
    ) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), InferenceError>>) {
        let (blocked, job) = BlockedJob::new();
        let pool = Arc::clone(pool);
        let running = tokio::spawn(async move { pool.submit(Deadline::NONE, job).await });
        blocked.began.recv().unwrap();
        (blocked.release, running)
    }

    fn waits(pool: &WorkerPool<usize>, jobs: usize) {
        while pool.waiting() < jobs {
            thread::yield_now();
        }
    }

    #[tokio::test]
    async fn jobs_run_on_the_state_of_their_worker() {
        let pool = pool(1, 8);
        for expected in 1..=3 {
            let runs = pool.submit(Deadline::NONE, |runs| {
                *runs += 1;
                Ok(*runs)
            });
            assert_eq!(runs.await.unwrap(), expected);
        }
        assert_eq!(pool.counts(), PoolCounts { ran: 3, ..PoolCounts::default() });
    }

    #[tokio::test]
    async fn a_panic_costs_one_job_and_no_worker() {
        let pool = pool(1, 8);
        let error =
            pool.submit::<(), _>(Deadline::NONE, |_| panic!("bad {}", 7)).await.unwrap_err();
        assert_eq!(error.to_string(), "the job panicked: bad 7");
        assert_eq!(pool.submit(Deadline::NONE, |_| Ok(5)).await.unwrap(), 5);
        assert!(pool.alive());
        let counts = pool.counts();
        assert_eq!((counts.ran, counts.panicked), (1, 1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_refuses_at_once() {
        let pool = pool(1, 1);
        let (release, running) = occupy(&pool);
        let second = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.submit(Deadline::NONE, |_| Ok(2)).await })
        };
        waits(&pool, 1);
        let refused = pool.submit(Deadline::NONE, |_| Ok(3)).await.unwrap_err();
        assert!(matches!(refused, InferenceError::QueueFull { capacity: 1 }));
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
        assert_eq!(second.await.unwrap().unwrap(), 2);
        let counts = pool.counts();
        assert_eq!((counts.ran, counts.refused), (2, 1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn cancelled_jobs_never_run() {
        let pool = pool(1, 8);
        let (release, running) = occupy(&pool);
        let left = {
            let pool = Arc::clone(&pool);
            tokio::spawn(
                async move { pool.submit::<(), _>(Deadline::NONE, |_| panic!("it ran")).await },
            )
        };
        waits(&pool, 1);
        left.abort();
        assert!(left.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
        assert_eq!(pool.submit(Deadline::NONE, |_| Ok(1)).await.unwrap(), 1);
        let counts = pool.counts();
        assert_eq!((counts.ran, counts.cancelled, counts.panicked), (2, 1, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn expired_jobs_never_run() {
        let pool = pool(1, 8);
        let (release, running) = occupy(&pool);
        let deadline = Instant::now() + Duration::from_millis(2);
        let late = {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                pool.submit::<(), _>(Deadline::at(deadline), |_| panic!("it ran")).await
            })
        };
        waits(&pool, 1);
        while Instant::now() < deadline {
            thread::yield_now();
        }
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
        assert!(matches!(late.await.unwrap(), Err(InferenceError::Expired)));
        let counts = pool.counts();
        assert_eq!((counts.ran, counts.expired, counts.panicked), (1, 1, 0));
    }

    #[tokio::test]
    async fn an_error_of_a_job_is_returned_to_its_caller() {
        let pool = pool(2, 8);
        let failed =
            pool.submit::<(), _>(Deadline::NONE, |_| Err(InferenceError::Run("no".into()))).await;
        assert_eq!(failed.unwrap_err().to_string(), "running the graph failed: no");
    }

    #[test]
    fn a_pool_without_workers_is_refused() {
        let error = WorkerPool::<usize>::start("encode", vec![], 1).err().unwrap();
        assert!(error.to_string().contains("`encode` has no worker"), "{error}");
    }
}
