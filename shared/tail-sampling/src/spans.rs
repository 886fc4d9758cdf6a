//! Spans of a request, made of its record after its end.

use std::time::{Instant, SystemTime};

use opentelemetry::{
    KeyValue, SpanId, Value,
    trace::{SpanContext, SpanKind, Status, TraceFlags},
};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use plugrank_runtime::telemetry::{RequestRecord, SpanRecord, TraceIds};

/// The stages, then the request.
pub(crate) fn spans(ids: &TraceIds, sampled: bool, record: RequestRecord) -> Vec<SpanData> {
    let scope = plugrank_runtime::telemetry::scope();
    let clock = Clock::now();
    let fresh = RandomIdGenerator::default();
    let RequestRecord { request, stages } = record;
    let span = |record: SpanRecord, id: SpanId, parent: Option<(SpanId, bool)>| {
        let start_time = clock.at(record.began);
        let attribute = |(key, value)| KeyValue::new(key, Value::from(value));
        SpanData {
            span_context: SpanContext::new(
                ids.trace,
                id,
                TraceFlags::default().with_sampled(sampled),
                false,
                ids.state.clone(),
            ),
            parent_span_id: parent.map_or(SpanId::INVALID, |(parent, _)| parent),
            parent_span_is_remote: parent.is_some_and(|(_, remote)| remote),
            span_kind: SpanKind::Internal,
            name: record.name,
            start_time,
            end_time: start_time + record.spent,
            attributes: record.attributes.into_iter().map(attribute).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: record.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: scope.clone(),
        }
    };
    let within = Some((ids.span, false));
    let mut spans: Vec<SpanData> =
        stages.into_iter().map(|stage| span(stage, fresh.new_span_id(), within)).collect();
    let mut request = span(request, ids.span, ids.caller.map(|caller| (caller, true)));
    request.span_kind = SpanKind::Server;
    spans.push(request);
    spans
}

/// Moments of the monotonic clock as times of day.
struct Clock {
    time: SystemTime,
    moment: Instant,
}

impl Clock {
    fn now() -> Self {
        Self { time: SystemTime::now(), moment: Instant::now() }
    }

    fn at(&self, moment: Instant) -> SystemTime {
        self.time - self.moment.saturating_duration_since(moment)
    }
}
