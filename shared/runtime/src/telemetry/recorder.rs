//! What the edge of a process decides with, as a part of the subscriber.

use std::{sync::Arc, time::Duration};

use opentelemetry_sdk::trace::SpanProcessor;

use super::{
    counts::SpanCounts,
    export::ExportQueue,
    record::RequestRecord,
    sampler::HeadSampler,
    tail::{EndedRequest, TailSampler},
    trace_ids::TraceIds,
    verdict::Cause,
};

/// What the edge of a process decides with. A part of the subscriber, so that a request finds it
/// where its spans go.
#[derive(Debug)]
pub(crate) struct Recorder {
    sampler: HeadSampler,
    exporter: Option<Arc<ExportQueue>>,
    tail: Option<Arc<dyn TailSampler>>,
    counts: SpanCounts,
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Recorder {}

impl Recorder {
    pub(crate) fn new(
        sampler: HeadSampler,
        exporter: Option<Arc<ExportQueue>>,
        tail: Option<Arc<dyn TailSampler>>,
        counts: SpanCounts,
    ) -> Self {
        Self { sampler, exporter, tail, counts }
    }

    pub(crate) fn sampler(&self) -> &HeadSampler {
        &self.sampler
    }

    /// A request that was not recorded has ended.
    pub(crate) fn ended(
        &self,
        ids: &TraceIds,
        cause: Option<Cause>,
        spent: Duration,
        budgeted: bool,
        record: &mut dyn FnMut() -> Option<RequestRecord>,
    ) {
        self.counts.ended(cause, false);
        let Some(tail) = &self.tail else { return };
        let exporting = self.exporter.is_some();
        let request = EndedRequest { ids, cause, spent, budgeted, exporting };
        let spans = tail.request_ended(&request, record);
        if let Some(exporter) = &self.exporter {
            spans.into_iter().for_each(|span| exporter.on_end(span));
        }
    }
}
