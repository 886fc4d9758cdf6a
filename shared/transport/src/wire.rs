//! What a call looks like between processes: postcard bodies, context in headers.

use std::time::Duration;

use plugrank_contract::{CallError, Context, ErrorCode, Traceparent};
use serde::{Serialize, de::DeserializeOwned};

/// Media type of call and reply bodies.
pub const MEDIA_TYPE: &str = "application/vnd.plugrank.postcard";
/// Time the caller still has, in microseconds; absent: no limit.
pub const REMAINING_US: &str = "plugrank-remaining-us";
/// Identifies the caller's request.
pub const REQUEST_ID: &str = "x-request-id";
/// Names the model that answers; absent: the active one.
pub const MODEL: &str = "plugrank-model";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// What other tracing systems noted in it.
pub const TRACESTATE: &str = "tracestate";

/// Encodes a body.
///
/// # Errors
/// `Internal` when the value cannot be encoded, a defect of its type.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CallError> {
    postcard::to_stdvec(value)
        .map_err(|error| CallError::internal(format!("cannot encode the body: {error}")))
}

/// Decodes a body.
///
/// # Errors
/// The postcard error's text; the caller says whose fault it is.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// HTTP status of an error. The body carries the error itself; the status is for proxies and logs.
#[must_use]
pub fn status(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::InvalidArgument => 400,
        ErrorCode::NotFound | ErrorCode::NoModel => 404,
        ErrorCode::Overloaded => 429,
        ErrorCode::DeadlineExceeded => 504,
        ErrorCode::Unavailable => 503,
        ErrorCode::Internal | ErrorCode::NotFinite => 500,
    }
}

/// The context that travels in headers, as name and value.
#[must_use]
pub fn context_headers(context: &Context) -> Vec<(&'static str, String)> {
    let mut headers = vec![(REQUEST_ID, context.request_id.to_string())];
    if let Some(left) = context.remaining() {
        headers.push((REMAINING_US, left.as_micros().to_string()));
    }
    if let Some(model) = &context.model {
        headers.push((MODEL, model.to_string()));
    }
    headers.extend(trace_headers(context));
    headers
}

/// The trace alone, for those who know nothing of budgets.
pub fn trace_headers(context: &Context) -> impl Iterator<Item = (&'static str, String)> {
    let parent = context.traceparent.map(|parent| (TRACEPARENT, parent.to_string()));
    let state = context.tracestate.clone().map(|state| (TRACESTATE, state));
    parent.into_iter().chain(state)
}

/// Takes over the trace that a request's headers name.
pub fn adopt_trace<'a>(context: &mut Context, header: impl Fn(&str) -> Option<&'a str>) {
    context.traceparent = header(TRACEPARENT).and_then(Traceparent::from_header);
    context.tracestate = header(TRACESTATE).map(ToOwned::to_owned);
}

/// The context a request's headers describe.
///
/// # Errors
/// `InvalidArgument` naming the header that cannot be read.
pub fn context_from<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Result<Context, CallError> {
    let bad = |name: &str| CallError::invalid(format!("header `{name}` cannot be read"));
    let mut context = Context::background();
    if let Some(id) = header(REQUEST_ID) {
        context.request_id = id.parse().map_err(|_| bad(REQUEST_ID))?;
    }
    if let Some(left) = header(REMAINING_US) {
        let micros: u64 = left.parse().map_err(|_| bad(REMAINING_US))?;
        context = context.within(Duration::from_micros(micros));
    }
    context.model = header(MODEL).map(Into::into);
    adopt_trace(&mut context, header);
    Ok(context)
}
