//! Where ended spans go: sampled ones to the collector, those of whole requests to the operator's
//! pages.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{Context, trace::TraceContextExt};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use super::{
    counts::SpanCounts,
    pending::{Next, PendingTraces, is_root},
    recent::RecentRequests,
    verdict::Cause,
};

/// Spans kept of traces that still run.
const PENDING_SPANS: usize = 16_384;

/// Takes what the SDK recorded.
#[derive(Debug)]
pub(crate) struct SpanRouter<P> {
    exporter: Option<Arc<P>>,
    pages: Option<Pages>,
    counts: SpanCounts,
}

#[derive(Debug)]
struct Pages {
    pending: Mutex<PendingTraces>,
    recent: RecentRequests,
}

impl Pages {
    /// A panic while the lock was held leaves plain data behind, so it is used on.
    fn pending(&self) -> MutexGuard<'_, PendingTraces> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, span: SpanData) {
        let next = self.pending().end(span);
        match next {
            Next::Nothing => {}
            Next::Late(span) => self.recent.late(&span),
            Next::Ended(ended) => self.recent.ended(&ended),
        }
    }
}

impl<P: SpanProcessor> SpanRouter<P> {
    pub(crate) fn new(
        exporter: Option<Arc<P>>,
        recent: Option<RecentRequests>,
        counts: SpanCounts,
    ) -> Self {
        let pages = recent
            .map(|recent| Pages { pending: Mutex::new(PendingTraces::new(PENDING_SPANS)), recent });
        Self { exporter, pages, counts }
    }
}

impl<P: SpanProcessor> SpanProcessor for SpanRouter<P> {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let Some(pages) = &self.pages else { return };
        let parent = parent.span();
        let parent = parent.span_context();
        if !parent.is_valid() || parent.is_remote() {
            let trace = opentelemetry::trace::Span::span_context(span).trace_id();
            pages.pending().begin(trace, Instant::now());
        }
    }

    fn on_end(&self, span: SpanData) {
        if is_root(&span) && span.links.is_empty() {
            self.counts.ended(Cause::of_root(&span), span.span_context.is_sampled());
        }
        let exporter = self.exporter.as_ref().filter(|_| span.span_context.is_sampled());
        match (exporter, &self.pages) {
            (None, None) => {}
            (Some(exporter), None) => exporter.on_end(span),
            (None, Some(pages)) => pages.ended(span),
            (Some(exporter), Some(pages)) => {
                exporter.on_end(span.clone());
                pages.ended(span);
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
