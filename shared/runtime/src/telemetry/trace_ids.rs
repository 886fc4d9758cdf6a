//! Where a request is in its trace.

use opentelemetry::{SpanId, TraceId, trace::TraceState};

/// Where a request is in its trace.
#[derive(Clone, Debug)]
pub struct TraceIds {
    /// Its trace.
    pub trace: TraceId,
    /// Its span, whether that is recorded or not.
    pub span: SpanId,
    /// The caller's span.
    pub caller: Option<SpanId>,
    /// What tracing systems on the way have noted.
    pub state: TraceState,
}
