//! Writes what was encoded to the store, off the path of requests.

use std::sync::Arc;

use plugrank_store::{Store, VectorSpace};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use crate::metrics::EncodingMetrics;

/// Keys and values of one space.
pub(crate) type Vectors = Vec<(Vec<u8>, Vec<u8>)>;

enum Job {
    Write { modal: Vectors, records: Vectors },
    Flush(oneshot::Sender<()>),
}

/// A bounded queue of encoded batches in front of the store. The store holds copies of what can be
/// made again, so failures are counted and logged, and cost no call anything.
pub(crate) struct WriteBack {
    jobs: mpsc::Sender<Job>,
    metrics: Arc<EncodingMetrics>,
}

impl WriteBack {
    /// Starts writing; ends when this is dropped and the queue is empty.
    pub(crate) fn start(
        runtime: &Handle,
        store: Arc<dyn Store>,
        (modal_space, record_space): (VectorSpace, VectorSpace),
        batches: usize,
        metrics: Arc<EncodingMetrics>,
    ) -> Self {
        let (jobs, mut queue) = mpsc::channel(batches.max(1));
        let counted = Arc::clone(&metrics);
        runtime.spawn(async move {
            while let Some(job) = queue.recv().await {
                match job {
                    Job::Flush(done) => {
                        let _ = done.send(());
                    }
                    Job::Write { modal, records } => {
                        let spaces = [(&modal_space, modal), (&record_space, records)];
                        for (space, entries) in spaces {
                            write(store.as_ref(), space, entries, &counted).await;
                        }
                    }
                }
            }
        });
        Self { jobs, metrics }
    }

    /// Queues a batch, or drops it when the queue is full.
    pub(crate) fn push(&self, modal: Vectors, records: Vectors) {
        let items = records.len();
        if self.jobs.try_send(Job::Write { modal, records }).is_err() {
            EncodingMetrics::add(&self.metrics.write_back_refused, items);
        }
    }

    /// Waits until everything queued so far has been written.
    pub(crate) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.jobs.send(Job::Flush(done)).await.is_ok() {
            let _ = written.await;
        }
    }
}

async fn write(
    store: &dyn Store,
    space: &VectorSpace,
    entries: Vectors,
    metrics: &EncodingMetrics,
) {
    if entries.is_empty() {
        return;
    }
    let count = entries.len();
    match store.put_vectors(space, entries).await {
        Ok(()) => EncodingMetrics::add(&metrics.write_backs, 1),
        Err(error) => {
            EncodingMetrics::add(&metrics.write_back_failures, 1);
            tracing::warn!(?space, count, %error, "encoded vectors were not written to the store");
        }
    }
}
