//! What decides on requests after their end.

use std::{fmt, time::Duration};

use opentelemetry::TraceId;
use opentelemetry_sdk::trace::SpanData;

use super::{record::RequestRecord, trace_ids::TraceIds, verdict::Cause};

/// A request that was not recorded and has ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedRequest<'a> {
    /// Where it is in its trace.
    pub ids: &'a TraceIds,
    /// Why an operator would look at it.
    pub cause: Option<Cause>,
    /// Time it took.
    pub spent: Duration,
    /// Whether it has a budget.
    pub budgeted: bool,
    /// Whether there is a collector.
    pub exporting: bool,
}

/// Decides on requests when they have ended, regardless of what was decided when they began. Its
/// own crate, `plugrank-tail-sampling`, has the one there is.
pub trait TailSampler: fmt::Debug + Send + Sync + 'static {
    /// Whether it wants the spans of recorded traces: then a share is recorded even without a
    /// collector.
    fn wants_spans(&self) -> bool;
    /// A trace begins in this process, or is taken up from a caller.
    fn began(&self, trace: TraceId);
    /// A recorded span has ended.
    fn span_ended(&self, span: SpanData);
    /// A request that was not recorded has ended. `record` makes its record, once, and is asked
    /// only where its spans are wanted. The spans for the collector are answered.
    fn request_ended(
        &self,
        request: &EndedRequest<'_>,
        record: &mut dyn FnMut() -> Option<RequestRecord>,
    ) -> Vec<SpanData>;
}
