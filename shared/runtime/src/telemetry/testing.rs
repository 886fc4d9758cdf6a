//! Spans as the SDK hands them to a processor.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// A context of trace `trace`, span `id`, sampled or not.
pub fn context(trace: u128, id: u64, sampled: bool) -> SpanContext {
    let flags = TraceFlags::default().with_sampled(sampled);
    let (trace, id) = (TraceId::from(trace), SpanId::from(id));
    SpanContext::new(trace, id, flags, false, TraceState::default())
}

/// A span that took 10 ms; without a parent it is a root. Not sampled.
pub fn span(trace: u128, id: u64, parent: Option<u64>, attributes: Vec<KeyValue>) -> SpanData {
    let start_time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    SpanData {
        span_context: context(trace, id, false),
        parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: false,
        span_kind: if parent.is_none() { SpanKind::Server } else { SpanKind::Internal },
        name: format!("span {id}").into(),
        start_time,
        end_time: start_time + Duration::from_millis(10),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

/// The same span with links to others.
pub fn linked(mut span: SpanData, to: &[(u128, u64)]) -> SpanData {
    span.links.links =
        to.iter().map(|(trace, id)| Link::with_context(context(*trace, *id, false))).collect();
    span
}
