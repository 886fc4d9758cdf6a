//! Where ended spans go: sampled ones to the collector, all of them to the tail sampler.

use std::{sync::Arc, time::Duration};

use opentelemetry::{Context, trace::TraceContextExt};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use super::{counts::SpanCounts, span_data::is_root, tail::TailSampler, verdict::Cause};

/// Takes what the SDK recorded.
#[derive(Debug)]
pub(crate) struct SpanRouter<P> {
    exporter: Option<Arc<P>>,
    tail: Option<Arc<dyn TailSampler>>,
    counts: SpanCounts,
}

impl<P: SpanProcessor> SpanRouter<P> {
    pub(crate) fn new(
        exporter: Option<Arc<P>>,
        tail: Option<Arc<dyn TailSampler>>,
        counts: SpanCounts,
    ) -> Self {
        Self { exporter, tail: tail.filter(|tail| tail.wants_spans()), counts }
    }
}

impl<P: SpanProcessor> SpanProcessor for SpanRouter<P> {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let Some(tail) = &self.tail else { return };
        let parent = parent.span();
        let parent = parent.span_context();
        if !parent.is_valid() || parent.is_remote() {
            tail.began(opentelemetry::trace::Span::span_context(span).trace_id());
        }
    }

    fn on_end(&self, span: SpanData) {
        if is_root(&span) && span.links.is_empty() {
            self.counts.ended(Cause::of_root(&span), span.span_context.is_sampled());
        }
        let exporter = self.exporter.as_ref().filter(|_| span.span_context.is_sampled());
        match (exporter, &self.tail) {
            (None, None) => {}
            (Some(exporter), None) => exporter.on_end(span),
            (None, Some(tail)) => tail.span_ended(span),
            (Some(exporter), Some(tail)) => {
                exporter.on_end(span.clone());
                tail.span_ended(span);
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.as_ref().map_or(Ok(()), |exporter| exporter.force_flush())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.as_ref().map_or(Ok(()), |exporter| exporter.shutdown_with_timeout(timeout))
    }

    /// The exporter knows it from its start.
    fn set_resource(&mut self, _: &Resource) {}
}
