//! The log of served lists.
//!
//! A request hands over what it has, as it is, into a bounded queue: one enqueue, no copy. Whatever
//! else it takes to log a list happens beside the requests.

mod options;
mod record;
mod writer;

pub use options::ExposuresOptions;
pub(crate) use record::Served;
pub(crate) use writer::write;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use plugrank_runtime::Metrics;

/// Takes served lists.
pub(crate) struct ExposureLog {
    /// `None` where the settings say so.
    queue: Option<mpsc::Sender<Box<Served>>>,
    /// Taken by who writes.
    waiting: Mutex<Option<mpsc::Receiver<Box<Served>>>>,
    counts: Counts,
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
        Self { queue, waiting: Mutex::new(Some(waiting)), counts }
    }

    /// Whether served lists are taken.
    pub(crate) fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Takes a served list, unless the queue is full.
    pub(crate) fn log(&self, served: Served) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Box::new(served)).is_err() {
            self.counts.dropped.inc();
        }
    }
}
