//! Recent requests as JSON.

use plugrank_runtime::telemetry::Cause;
use plugrank_tail_sampling::{RequestTrace, TraceSpan};
use serde::Serialize;

/// `/debug/requests.json`.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    /// Slowest first.
    slowest: Vec<Request<'a>>,
    /// Degraded, over budget or in error; latest first.
    noted: Vec<Request<'a>>,
}

/// A request and its waterfall. Times are milliseconds.
#[derive(Debug, Serialize)]
struct Request<'a> {
    trace_id: &'a str,
    name: &'a str,
    started_unix_ms: u64,
    duration_ms: f64,
    budget_ms: Option<f64>,
    cause: Option<Cause>,
    exported: bool,
    spans: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    depth: usize,
    #[serde(flatten)]
    span: &'a TraceSpan,
}

impl<'a> Document<'a> {
    pub(super) fn new(slowest: &'a [RequestTrace], noted: &'a [RequestTrace]) -> Self {
        let all = |requests: &'a [RequestTrace]| requests.iter().map(request).collect();
        Self { slowest: all(slowest), noted: all(noted) }
    }
}

fn request(of: &RequestTrace) -> Request<'_> {
    Request {
        trace_id: &of.trace_id,
        name: &of.name,
        started_unix_ms: of.started_unix_ms,
        duration_ms: of.duration_ms,
        budget_ms: of.budget_ms,
        cause: of.cause,
        exported: of.exported,
        spans: of.waterfall().into_iter().map(|(depth, span)| Row { depth, span }).collect(),
    }
}
