//! What the batchers report, as metrics.

use std::sync::Arc;

use plugrank_inference::batcher::{BatchObserver, BatchReport};
use plugrank_runtime::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Metrics of one batcher, `plugrank_ROLE_batch_...`.
#[derive(Debug)]
pub(super) struct BatchMetrics {
    closed: Family<Reason, Counter>,
    left: Family<Reason, Counter>,
    failed: Counter,
    entries: Histogram,
    rows: Counter,
    padded_rows: Counter,
    oldest_seconds: Histogram,
    run_seconds: Histogram,
}

impl BatchMetrics {
    pub(super) fn register(metrics: &Metrics, role: &'static str) -> Arc<Self> {
        let seconds = || Histogram::new(exponential_buckets(50e-6, 2.0, 16));
        let of = Arc::new(Self {
            closed: Family::default(),
            left: Family::default(),
            failed: Counter::default(),
            entries: Histogram::new(exponential_buckets(1.0, 2.0, 8)),
            rows: Counter::default(),
            padded_rows: Counter::default(),
            oldest_seconds: seconds(),
            run_seconds: seconds(),
        });
        metrics.register(|registry| {
            let name = |what: &str| format!("{role}_batch_{what}");
            registry.register(name("closed"), "Batches, by why they closed", of.closed.clone());
            registry.register(name("left"), "Entries that left before they ran", of.left.clone());
            registry.register(name("failed"), "Batches without an answer", of.failed.clone());
            registry.register(name("entries"), "Entries of a batch", of.entries.clone());
            registry.register(name("rows"), "Rows asked for", of.rows.clone());
            registry.register(
                name("padded_rows"),
                "Rows run, padding included",
                of.padded_rows.clone(),
            );
            registry.register(
                name("oldest_seconds"),
                "Age of a batch's oldest entry when it closed",
                of.oldest_seconds.clone(),
            );
            registry.register(name("run_seconds"), "Time of a run", of.run_seconds.clone());
        });
        of
    }
}

impl BatchObserver for BatchMetrics {
    fn batch(&self, report: &BatchReport) {
        let reason = report.reason.name();
        self.closed.get_or_create(&Reason { reason }).inc();
        if !report.succeeded {
            self.failed.inc();
        }
        self.entries.observe(report.entries as f64);
        self.rows.inc_by(report.rows as u64);
        self.padded_rows.inc_by(report.padded_rows as u64);
        self.oldest_seconds.observe(report.oldest.as_secs_f64());
        self.run_seconds.observe(report.run.as_secs_f64());
    }

    fn left(&self, expired: usize, cancelled: usize) {
        for (reason, entries) in [("expired", expired), ("cancelled", cancelled)] {
            if entries > 0 {
                self.left.get_or_create(&Reason { reason }).inc_by(entries as u64);
            }
        }
    }
}
