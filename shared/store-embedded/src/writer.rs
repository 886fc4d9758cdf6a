//! The one thread that writes, and group commit.
//!
//! A durable commit costs an fsync at any size. Calls that arrive while one is being committed are
//! therefore taken together into the next transaction: under load the cost of an fsync is shared by
//! all who wait for it.
//!
//! The thread yields to those that answer requests: a burst of events then waits a little longer for
//! its confirmation, and no ranking waits for it.

use std::{sync::Arc, thread::JoinHandle};

use parking_lot::Mutex;
use plugrank_store::StoreError;
use redb::{Durability, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use crate::{
    database::{Handle, With},
    error::Failure,
};

/// Calls that may wait for the writer; further ones wait to be let in.
const QUEUE: usize = 1024;
/// Rows after which a transaction takes no further calls, so that no one waits behind a bulk load
/// for longer than its current batch.
const MAX_ROWS: usize = 20_000;
/// Transactions without fsync after which one has it. Pages freed by them are reused only then.
const MAX_VOLATILE: usize = 64;

/// How much lower than the process's own the thread's priority is, in steps of `nice`. By 5 it gets a quarter of a
/// core for which one other thread competes, and all of one for which none does.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// Whether a write must be on the disk when it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// It must.
    Durable,
    /// It may be lost in a crash.
    Volatile,
}

/// Starts and feeds the writing thread. Dropping it waits until what was begun is written.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` once it was stopped.
    jobs: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(handle: Arc<Handle>) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(&handle, queue))
            .map_err(|error| {
                StoreError::Unavailable(format!("cannot start the writing thread: {error}"))
            })?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    /// Does `work` in a transaction, then `settled` before anyone is told, whether or not the
    /// transaction could be confirmed. `work` may be run again; `rows` is about how much it writes.
    ///
    /// The write goes on when the returned future is dropped.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        sync: Sync,
        rows: usize,
        work: impl FnMut(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
        settled: impl FnOnce() + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = || StoreError::Unavailable("the store's writing thread has stopped".into());
        let (reply, answer) = oneshot::channel();
        let call = Call { sync, rows, work, settled, output: None, reply };
        let jobs = self.jobs.lock().clone().ok_or_else(stopped)?;
        jobs.send(Box::new(call)).await.map_err(|_| stopped())?;
        drop(jobs);
        answer.await.map_err(|_| stopped())?
    }

    /// Takes no more, and waits until what was begun is written.
    pub(crate) fn stop(&self) {
        *self.jobs.lock() = None;
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writing thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One call waiting to be written.
trait Job: Send {
    fn sync(&self) -> Sync;
    fn rows(&self) -> usize;
    fn apply(&mut self, txn: &WriteTransaction) -> Result<(), Failure>;
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Call<T, W, S> {
    sync: Sync,
    rows: usize,
    work: W,
    settled: S,
    output: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W, S> Job for Call<T, W, S>
where
    T: Send,
    W: FnMut(&WriteTransaction) -> Result<T, Failure> + Send,
    S: FnOnce() + Send,
{
    fn sync(&self) -> Sync {
        self.sync
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn apply(&mut self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.output = Some((self.work)(txn)?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { settled, output, reply, .. } = *self;
        settled();
        let outcome = outcome.and_then(|()| {
            output.ok_or_else(|| StoreError::Unavailable("the write was not run".into()))
        });
        // A caller that has gone does not need the answer.
        let _gone = reply.send(outcome);
    }
}

fn run(handle: &Handle, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    #[cfg(target_os = "linux")]
    yield_to_others();
    let mut volatile = 0;
    while let Some(first) = queue.blocking_recv() {
        let mut rows = first.rows();
        let mut batch = vec![first];
        while rows < MAX_ROWS
            && let Ok(job) = queue.try_recv()
        {
            rows += job.rows();
            batch.push(job);
        }
        write_batch(handle, batch, &mut volatile);
    }
    if volatile > 0
        && let Err(error) = commit(handle, &mut [], Sync::Durable)
    {
        tracing::warn!(?error, "cached vectors written last may be lost");
    }
}

/// Lowers the priority of this thread. Where the system does not allow it, it stays as it is.
#[cfg(target_os = "linux")]
fn yield_to_others() {
    use rustix::process::{getpriority_process, setpriority_process};
    // On Linux, none is the calling thread.
    let lowered =
        getpriority_process(None).and_then(|now| setpriority_process(None, (now + NICER).min(19)));
    if let Err(error) = lowered {
        tracing::debug!(%error, "the store's writing thread keeps its priority");
    }
}

fn write_batch(handle: &Handle, mut batch: Vec<Box<dyn Job>>, volatile: &mut usize) {
    let durable = *volatile >= MAX_VOLATILE || batch.iter().any(|job| job.sync() == Sync::Durable);
    let sync = if durable { Sync::Durable } else { Sync::Volatile };
    match commit(handle, &mut batch, sync) {
        Ok(()) => {
            *volatile = if durable { 0 } else { *volatile + 1 };
            for job in batch {
                job.finish(Ok(()));
            }
        }
        // One call's fault must not fail the others that happened to share its transaction.
        Err(With::Failed(failure)) if batch.len() > 1 && failure.may_be_one_jobs_fault() => {
            for job in batch {
                write_batch(handle, vec![job], volatile);
            }
        }
        Err(error) => {
            let error = error.into_store_error(handle.path());
            for job in batch {
                job.finish(Err(error.clone()));
            }
        }
    }
}

fn commit(handle: &Handle, batch: &mut [Box<dyn Job>], sync: Sync) -> Result<(), With> {
    handle.with(|database| {
        let mut txn = database.begin_write()?;
        if sync == Sync::Volatile {
            txn.set_durability(Durability::None)?;
        }
        for job in batch {
            job.apply(&txn)?;
        }
        txn.commit()?;
        Ok(())
    })
}
