//! W3C trace context: a caller's `traceparent` and `tracestate` in, ours out; and what spans are told.

use std::{collections::HashMap, time::Duration};

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::telemetry::{DEGRADED, SPENT_MS, TOTAL_MS};

/// Makes `span`, which has not been entered yet, a child of the span a `traceparent` header names;
/// `tracestate` is what tracing systems on the way have noted, and goes on to whom we call.
/// Returns false, and changes nothing, when `traceparent` is malformed or spans are not recorded.
/// A malformed `tracestate` alone is left out, as the recommendation has it.
pub fn adopt_parent(span: &Span, traceparent: &str, tracestate: Option<&str>) -> bool {
    if span.is_disabled() {
        return false;
    }
    let mut headers = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    headers.extend(tracestate.map(|state| ("tracestate".to_owned(), state.to_owned())));
    let context = TraceContextPropagator::new()
        .extract_with_context(&opentelemetry::Context::new(), &headers);
    context.span().span_context().is_valid() && span.set_parent(context).is_ok()
}

/// The `traceparent` that names `span` to those it calls; `None` when spans are not recorded.
#[must_use]
pub fn traceparent(span: &Span) -> Option<String> {
    span_context(span).map(|context| {
        format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        )
    })
}

/// The `tracestate` that `span` was given by its caller; `None` where there is none.
#[must_use]
pub fn tracestate(span: &Span) -> Option<String> {
    let header = span_context(span)?.trace_state().header();
    (!header.is_empty()).then_some(header)
}

/// The id of the trace `span` belongs to, 32 hexadecimal digits.
#[must_use]
pub fn trace_id(span: &Span) -> Option<String> {
    span_context(span).map(|context| context.trace_id().to_string())
}

/// Whether the trace `span` belongs to is kept whatever befalls it: the caller samples it, or it
/// is in the sampled share.
#[must_use]
pub fn is_sampled(span: &Span) -> bool {
    span_context(span).is_some_and(|context| context.is_sampled())
}

/// Tells the span a request is answered in what became of its latency budget. Tail sampling and
/// the operator's pages go by it.
pub fn record_budget(span: &Span, total: Duration, spent: Duration, degraded: bool) {
    if span.is_disabled() {
        return;
    }
    span.set_attribute(TOTAL_MS, millis(total));
    span.set_attribute(SPENT_MS, millis(spent));
    span.set_attribute(DEGRADED, degraded);
}

/// Milliseconds as spans have them, to the microsecond.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

fn span_context(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}
