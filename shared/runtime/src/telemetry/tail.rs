//! Tail sampling: a trace is kept or not when it has ended and is known.
//!
//! Every span is recorded, and held until the last root of its trace in this process has ended.
//! Then the trace is kept when something befell it (see [`Cause`]), or when it is sampled: by the
//! caller's flag, or by the share of traces, which goes by the trace id and so falls alike in every
//! process. What is kept goes on to the exporter, and into [`RecentRequests`] when it is of note.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        Sampler, SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor,
    },
};

use super::{
    counts::{Drop, SpanCounts},
    held::{Ended, Finished, Held, Next},
    recent::RecentRequests,
};

/// Records every span; the flag that is handed on says whether the trace is sampled.
#[derive(Clone, Debug)]
pub(crate) struct RecordAll {
    flagged: Sampler,
}

impl RecordAll {
    /// Flags what the caller flagged and, without a caller, a share of the traces.
    pub(crate) fn sampling(share: f64) -> Self {
        Self { flagged: Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))) }
    }
}

impl ShouldSample for RecordAll {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: opentelemetry::TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[opentelemetry::KeyValue],
        links: &[opentelemetry::trace::Link],
    ) -> SamplingResult {
        let mut result = self.flagged.should_sample(parent, trace, name, kind, attributes, links);
        if result.decision == SamplingDecision::Drop {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }
}

/// Holds spans until their trace is decided on.
#[derive(Debug)]
pub(crate) struct TailSampler<P> {
    held: Mutex<Held>,
    exporter: Option<P>,
    recent: Option<RecentRequests>,
    counts: SpanCounts,
}

impl<P: SpanProcessor> TailSampler<P> {
    /// Holds at most `limit` spans. Without an exporter, only the recent requests are fed.
    pub(crate) fn new(
        limit: usize,
        exporter: Option<P>,
        recent: Option<RecentRequests>,
        counts: SpanCounts,
    ) -> Self {
        Self { held: Mutex::new(Held::new(limit)), exporter, recent, counts }
    }

    /// A panic while the lock was held leaves plain data behind, so it is used on.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn export(&self, finished: Finished) {
        let Some(exporter) = &self.exporter else { return };
        if let Some(mut span) = finished.into_exported() {
            span.span_context = sampled(&span.span_context);
            exporter.on_end(span);
        }
    }

    fn ended(&self, ended: Ended) {
        self.counts.decided(ended.cause, ended.sampled);
        if let Some(recent) = &self.recent {
            recent.ended(&ended);
        }
        if ended.kept() {
            ended.spans.into_iter().for_each(|span| self.export(span));
        }
    }
}

impl<P: SpanProcessor> SpanProcessor for TailSampler<P> {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let parent = parent.span();
        let parent = parent.span_context();
        if parent.is_valid() && !parent.is_remote() {
            return;
        }
        let trace = opentelemetry::trace::Span::span_context(span).trace_id();
        let expired = self.held().begin(trace, Instant::now());
        self.counts.dropped(Drop::Expired, expired);
    }

    fn on_end(&self, span: SpanData) {
        let next = self.held().end(span);
        match next {
            Next::Nothing => {}
            Next::Lost => self.counts.dropped(Drop::HeldFull, 1),
            Next::Late(span) => {
                if let Some(recent) = &self.recent {
                    recent.late(span.data());
                }
                self.export(span);
            }
            Next::Ended(ended) => self.ended(ended),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.as_ref().map_or(Ok(()), SpanProcessor::force_flush)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.as_ref().map_or(Ok(()), |exporter| exporter.shutdown_with_timeout(timeout))
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(exporter) = &mut self.exporter {
            exporter.set_resource(resource);
        }
    }
}

/// The same context with the flag that exported spans have.
fn sampled(context: &SpanContext) -> SpanContext {
    SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags().with_sampled(true),
        context.is_remote(),
        context.trace_state().clone(),
    )
}
