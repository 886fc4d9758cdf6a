//! The log of served lists.
//!
//! A request writes its row and puts it into a bounded queue: some hundred bytes, where all that the list
//! was made from would be kept from the next request until the log is written. Whatever else it takes
//! happens beside the requests.

mod options;
mod record;
mod writer;

pub use options::ExposuresOptions;
pub(crate) use record::Served;
pub(crate) use writer::write;

use parking_lot::Mutex;
use plugrank_store::ExposureRow;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, mpsc, oneshot};

use plugrank_runtime::Metrics;
use uuid::Uuid;

/// Takes served lists.
pub(crate) struct ExposureLog {
    /// `None` where the settings say so.
    queue: Option<mpsc::Sender<Entry>>,
    /// Taken by who writes.
    waiting: Mutex<Option<mpsc::Receiver<Entry>>>,
    /// Ends the gathering of a batch.
    hurry: Notify,
    counts: Counts,
    /// Share of the requests that are logged in full.
    full_share: f64,
}

/// What waits to be written.
pub(crate) enum Entry {
    /// A served list.
    Row(ExposureRow),
    /// Who waits until all before it is written.
    Flush(oneshot::Sender<()>),
}

/// Lists that were logged, and that were not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    logged: Counter,
    dropped: Counter,
}

impl ExposureLog {
    pub(crate) fn new(options: &ExposuresOptions, metrics: &Metrics) -> Self {
        let counts = Counts::default();
        metrics.register(|to| {
            let Counts { logged, dropped } = counts.clone();
            to.register("exposures_logged", "Served lists that are in the log", logged);
            to.register(
                "exposures_dropped",
                "Served lists that were not logged: the queue was full, or the store away for too long",
                dropped,
            );
        });
        let (queue, waiting) = mpsc::channel(options.queue);
        let queue = options.log.then_some(queue);
        Self {
            queue,
            waiting: Mutex::new(Some(waiting)),
            hurry: Notify::new(),
            counts,
            full_share: options.full_share,
        }
    }

    /// Whether a request is one of those that are logged in full.
    pub(crate) fn in_full(&self, request_id: Uuid) -> bool {
        // Its lower half is what is random of it.
        let spread = request_id.as_u64_pair().1.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
        self.is_on() && (spread as f64 / (1_u64 << 53) as f64) < self.full_share
    }

    /// Whether served lists are taken.
    pub(crate) fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Takes a served list, unless the queue is full.
    pub(crate) fn log(&self, served: &Served<'_>) {
        let Some(queue) = &self.queue else { return };
        match queue.try_reserve() {
            Ok(place) => {
                place.send(Entry::Row(ExposureRow::from(&served.exposure())));
                if queue.capacity() < queue.max_capacity() / 2 {
                    self.hurry.notify_one();
                }
            }
            Err(_) => drop(self.counts.dropped.inc()),
        }
    }

    /// Waits until what was taken so far is written, or given up.
    pub(crate) async fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        let (written, wait) = oneshot::channel();
        if queue.send(Entry::Flush(written)).await.is_ok() {
            self.hurry.notify_one();
            // Dropped where the log has ended.
            drop(wait.await);
        }
    }
}
