//! Metrics of traces and spans.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use super::verdict::Cause;
use crate::Metrics;

/// Why a span that was to be exported was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Drop {
    /// Too many spans waited for the collector.
    QueueFull,
    /// The collector refused it or did not answer.
    ExportFailed,
}

impl Drop {
    const fn as_str(self) -> &'static str {
        match self {
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
    traces: Traces,
}

/// The counters of a family by decision: every request counts, so they are found once.
#[derive(Clone, Debug)]
struct Traces {
    family: Family<TraceLabels, Counter>,
    causes: [Counter; Cause::ALL.len()],
    sampled: Counter,
    not_sampled: Counter,
}

impl Default for Traces {
    fn default() -> Self {
        let family = Family::<TraceLabels, Counter>::default();
        let counter = |decision| family.get_or_create_owned(&TraceLabels { decision });
        Self {
            causes: Cause::ALL.map(|cause| counter(cause.as_str())),
            sampled: counter("sampled"),
            not_sampled: counter("not_sampled"),
            family,
        }
    }
}

impl SpanCounts {
    /// Shows the counters on `/metrics`.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(|to| {
            let exported = "Spans the collector took";
            to.register("spans_exported", exported, self.exported.clone());
            let dropped = "Spans that were to be exported and were lost, by cause";
            to.register("spans_dropped", dropped, self.dropped.clone());
            let traces = "Ended traces: degraded, over budget or in error, else sampled or not";
            to.register("traces", traces, self.traces.family.clone());
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

    pub(crate) fn ended(&self, cause: Option<Cause>, sampled: bool) {
        let counter = match cause {
            Some(cause) => &self.traces.causes[cause as usize],
            None if sampled => &self.traces.sampled,
            None => &self.traces.not_sampled,
        };
        counter.inc();
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
