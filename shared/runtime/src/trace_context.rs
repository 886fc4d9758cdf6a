//! W3C trace context: a caller's `traceparent` in, ours out.

use std::collections::HashMap;

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Makes `span`, which has not been entered yet, a child of the span a `traceparent` header names.
/// Returns false, and changes nothing, when the header is malformed or spans are not recorded.
pub fn adopt_parent(span: &Span, traceparent: &str) -> bool {
    let headers = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
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

/// The id of the trace `span` belongs to, 32 hexadecimal digits.
#[must_use]
pub fn trace_id(span: &Span) -> Option<String> {
    span_context(span).map(|context| context.trace_id().to_string())
}

fn span_context(span: &Span) -> Option<SpanContext> {
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}
