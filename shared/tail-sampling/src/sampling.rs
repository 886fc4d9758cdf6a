//! The decision, and where spans go.

use std::{sync::Arc, time::Instant};

use opentelemetry::TraceId;
use opentelemetry_sdk::trace::SpanData;
use parking_lot::{Mutex, MutexGuard};
use plugrank_runtime::telemetry::{EndedRequest, RequestRecord, TailSampler};

use crate::{
    pending::{EndedTrace, Next, PendingTraces},
    recent::RecentRequests,
    spans::spans,
};

/// Spans kept of traces that still run.
const PENDING_SPANS: usize = 16_384;

/// Picks requests that were degraded, late or failed for the collector, and these and the slowest
/// for the operator's pages.
#[derive(Debug)]
pub struct TailSampling {
    pages: Option<Pages>,
}

#[derive(Debug)]
struct Pages {
    pending: Mutex<PendingTraces>,
    recent: RecentRequests,
}

impl Pages {
    /// A panic while the lock was held leaves plain data behind, so it is used on.
    fn pending(&self) -> MutexGuard<'_, PendingTraces> {
        self.pending.lock()
    }
}

impl TailSampling {
    /// One that feeds `recent`, if given.
    #[must_use]
    pub fn new(recent: Option<RecentRequests>) -> Self {
        let pages = recent
            .map(|recent| Pages { pending: Mutex::new(PendingTraces::new(PENDING_SPANS)), recent });
        Self { pages }
    }
}

impl TailSampler for TailSampling {
    fn wants_spans(&self) -> bool {
        self.pages.is_some()
    }

    fn began(&self, trace: TraceId) {
        if let Some(pages) = &self.pages {
            pages.pending().begin(trace, Instant::now());
        }
    }

    fn span_ended(&self, span: SpanData) {
        let Some(pages) = &self.pages else { return };
        let next = pages.pending().end(span);
        match next {
            Next::Nothing => {}
            Next::Late(span) => pages.recent.late(&span),
            Next::Ended(ended) => pages.recent.ended(&ended),
        }
    }

    fn request_ended(
        &self,
        request: &EndedRequest<'_>,
        record: &mut dyn FnMut() -> Option<RequestRecord>,
    ) -> Vec<SpanData> {
        let EndedRequest { ids, cause, spent, budgeted, exporting } = *request;
        let exported = exporting && cause.is_some();
        let recent = self.pages.as_ref().map(|pages| &pages.recent);
        let recent = recent.filter(|recent| recent.wants(cause, spent, budgeted));
        if !exported && recent.is_none() {
            return Vec::new();
        }
        let Some(record) = record() else { return Vec::new() };
        let spans = spans(ids, exported, record);
        if let Some(recent) = recent {
            let spans = spans.iter().cloned().map(Arc::new).collect();
            recent.ended(&EndedTrace { cause, exported, spans, root: ids.span });
        }
        if exported { spans } else { Vec::new() }
    }
}
