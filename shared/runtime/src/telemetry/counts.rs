//! What became of spans, as metrics.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use super::verdict::Cause;
use crate::Metrics;

/// Why a span that was to be exported was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Drop {
    /// Too many finished spans were held for requests still running.
    HeldFull,
    /// Its request ran on and on.
    Expired,
    /// Too many spans waited for the collector.
    QueueFull,
    /// The collector refused it or did not answer.
    ExportFailed,
}

impl Drop {
    const fn as_str(self) -> &'static str {
        match self {
            Self::HeldFull => "held_full",
            Self::Expired => "expired",
            Self::QueueFull => "queue_full",
            Self::ExportFailed => "export_failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceLabels {
    decision: &'static str,
}

/// Counters of spans and traces. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SpanCounts {
    exported: Counter,
    dropped: Family<DropLabels, Counter>,
    traces: Family<TraceLabels, Counter>,
}

impl SpanCounts {
    /// Shows the counters on `/metrics`.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(|to| {
            let exported = "Spans the collector took";
            to.register("spans_exported", exported, self.exported.clone());
            let dropped = "Spans that were to be exported and were lost, by cause";
            to.register("spans_dropped", dropped, self.dropped.clone());
            let traces = "Ended traces, by why they were kept, or not sampled";
            to.register("traces", traces, self.traces.clone());
        });
    }

    pub(crate) fn exported(&self, spans: usize) {
        self.exported.inc_by(spans as u64);
    }

    pub(crate) fn dropped(&self, cause: Drop, spans: usize) {
        if spans > 0 {
            self.dropped.get_or_create(&DropLabels { cause: cause.as_str() }).inc_by(spans as u64);
        }
    }

    pub(crate) fn decided(&self, cause: Option<Cause>, sampled: bool) {
        let decision = match cause {
            Some(cause) => cause.as_str(),
            None if sampled => "sampled",
            None => "not_sampled",
        };
        self.traces.get_or_create(&TraceLabels { decision }).inc();
    }

    #[cfg(test)]
    pub(crate) fn lost(&self, cause: Drop) -> u64 {
        self.dropped.get_or_create(&DropLabels { cause: cause.as_str() }).get()
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> u64 {
        self.exported.get()
    }
}
