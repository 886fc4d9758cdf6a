//! What is read of an ended span.

use opentelemetry::{SpanId, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

/// Whether a span is the first of its trace in this process.
#[must_use]
pub fn is_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote
}

/// Whether a span ended in an error.
pub(crate) fn failed(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
}

pub(crate) fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a Value> {
    // The last one stands, when a key was recorded twice.
    let found = span.attributes.iter().rev().find(|attribute| attribute.key.as_str() == key)?;
    Some(&found.value)
}

/// An attribute that is a number.
#[must_use]
pub fn number(span: &SpanData, key: &str) -> Option<f64> {
    match attribute(span, key)? {
        Value::F64(number) => Some(*number),
        Value::I64(number) => Some(*number as f64),
        _ => None,
    }
}

/// An attribute that is text.
#[must_use]
pub fn text(span: &SpanData, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Value::String(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}
