//! A trace as an operator reads it: its spans in order of time, each below its parent.

use std::{
    collections::{BTreeMap, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;
use plugrank_runtime::telemetry::{
    ALLOTTED_MS, Attribute, Cause, OUTCOME, RUNG, SPENT_MS, TOTAL_MS,
    span_data::{number, text},
};
use serde::Serialize;

/// One request's part in this process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestTrace {
    /// Id of the trace, 32 hexadecimal digits.
    pub trace_id: String,
    /// What was asked, e.g. `POST /v1/rank`.
    pub name: String,
    /// When it began, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// How long it took.
    pub duration_ms: f64,
    /// What it might take.
    pub budget_ms: Option<f64>,
    /// Why it is of note.
    pub cause: Option<Cause>,
    /// Whether its spans go to the collector.
    pub exported: bool,
    /// Its spans, as they ended.
    pub spans: Vec<TraceSpan>,
    #[serde(skip)]
    began: SystemTime,
}

/// A span of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceSpan {
    /// Its id, 16 hexadecimal digits.
    pub span_id: String,
    /// The span it is part of, in this process or the caller's.
    pub parent_span_id: Option<String>,
    /// What was done.
    pub name: String,
    /// `internal`, `client`, `server`, ...
    pub kind: &'static str,
    /// When it began, after the request did.
    pub start_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
    /// Of a stage or call: the time it was given.
    pub allotted_ms: Option<f64>,
    /// Of a stage or call: the time it took, as it was measured to decide.
    pub spent_ms: Option<f64>,
    /// Of a stage or call: how it ended.
    pub outcome: Option<String>,
    /// Of a stage: the rung it took.
    pub rung: Option<String>,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// The spans it links to; a batch links to those whose rows ran in it.
    pub links: Vec<String>,
    /// Everything else that was recorded.
    pub attributes: BTreeMap<String, Attribute>,
}

impl RequestTrace {
    /// Adds a span that ended after the request.
    pub(crate) fn add(&mut self, span: &SpanData) {
        self.spans.push(row(span, self.began));
    }

    /// The spans in reading order, each with its depth below the request: a span before those that
    /// are part of it, a batch below the first span it links to, all by the time they began.
    #[must_use]
    pub fn waterfall(&self) -> Vec<(usize, &TraceSpan)> {
        let place: HashMap<&str, usize> =
            self.spans.iter().enumerate().map(|(at, span)| (span.span_id.as_str(), at)).collect();
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); self.spans.len()];
        let mut tops = Vec::new();
        for (at, span) in self.spans.iter().enumerate() {
            let links = span.links.iter().map(String::as_str);
            let above = span.parent_span_id.as_deref().into_iter().chain(links);
            match above.filter_map(|id| place.get(id)).find(|above| **above != at) {
                Some(above) => below[*above].push(at),
                None => tops.push(at),
            }
        }
        let by_start = |list: &mut Vec<usize>| {
            // Last first, because they are taken from the end.
            list.sort_by(|a, b| self.spans[*b].start_ms.total_cmp(&self.spans[*a].start_ms));
        };
        below.iter_mut().for_each(by_start);
        by_start(&mut tops);
        let mut left: Vec<(usize, usize)> = tops.into_iter().map(|at| (0, at)).collect();
        let mut rows = Vec::with_capacity(self.spans.len());
        while let Some((depth, at)) = left.pop() {
            rows.push((depth, &self.spans[at]));
            left.extend(std::mem::take(&mut below[at]).into_iter().map(|at| (depth + 1, at)));
        }
        rows
    }
}

/// A trace of these spans, with `root` the request.
pub(crate) fn trace<'a>(
    root: &SpanData,
    spans: impl Iterator<Item = &'a SpanData>,
    cause: Option<Cause>,
    exported: bool,
) -> RequestTrace {
    let began = root.start_time;
    let since_1970 = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    RequestTrace {
        trace_id: root.span_context.trace_id().to_string(),
        name: root.name.to_string(),
        started_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        duration_ms: between(root.start_time, root.end_time),
        budget_ms: number(root, TOTAL_MS).or_else(|| number(root, ALLOTTED_MS)),
        cause,
        exported,
        spans: spans.map(|span| row(span, began)).collect(),
        began,
    }
}

fn row(span: &SpanData, began: SystemTime) -> TraceSpan {
    let parent = span.parent_span_id;
    let told = [ALLOTTED_MS, SPENT_MS, OUTCOME, RUNG];
    let attributes = span
        .attributes
        .iter()
        .filter(|attribute| !told.contains(&attribute.key.as_str()))
        .map(|attribute| (attribute.key.to_string(), value(&attribute.value)))
        .collect();
    TraceSpan {
        span_id: span.span_context.span_id().to_string(),
        parent_span_id: (parent != opentelemetry::SpanId::INVALID).then(|| parent.to_string()),
        name: span.name.to_string(),
        kind: kind(&span.span_kind),
        start_ms: between(began, span.start_time),
        duration_ms: between(span.start_time, span.end_time),
        allotted_ms: number(span, ALLOTTED_MS),
        spent_ms: number(span, SPENT_MS),
        outcome: text(span, OUTCOME),
        rung: text(span, RUNG),
        error: match &span.status {
            Status::Error { description } => {
                let why = text(span, "error.message").filter(|_| description.is_empty());
                Some(why.unwrap_or_else(|| description.to_string()))
            }
            Status::Unset | Status::Ok => None,
        },
        links: span.links.iter().map(|link| link.span_context.span_id().to_string()).collect(),
        attributes,
    }
}

/// Milliseconds from one moment to another, to the microsecond; negative when it was before.
fn between(from: SystemTime, to: SystemTime) -> f64 {
    let micros = match to.duration_since(from) {
        Ok(after) => after.as_micros() as f64,
        Err(before) => -(before.duration().as_micros() as f64),
    };
    micros / 1000.0
}

const fn kind(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
    }
}

fn value(value: &Value) -> Attribute {
    match value {
        Value::Bool(flag) => Attribute::Flag(*flag),
        Value::I64(number) => Attribute::Int(*number),
        Value::F64(number) => Attribute::Float(*number),
        other => Attribute::Text(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::KeyValue;

    use super::*;
    use plugrank_runtime::telemetry::testing::{linked, span};

    fn at(mut span: SpanData, from_ms: u64, to_ms: u64) -> SpanData {
        let began = span.start_time;
        span.start_time = began + Duration::from_millis(from_ms);
        span.end_time = began + Duration::from_millis(to_ms);
        span
    }

    #[test]
    fn spans_are_nested_by_parent_and_sorted_by_time() {
        let root = span(1, 1, None, vec![KeyValue::new(TOTAL_MS, 50.0)]);
        let spans = [
            at(span(1, 5, Some(3), vec![]), 5, 6),
            at(span(1, 3, Some(1), vec![KeyValue::new(OUTCOME, "cut")]), 4, 9),
            at(linked(span(9, 8, None, vec![]), &[(7, 99), (1, 5)]), 5, 6),
            at(span(1, 2, Some(1), vec![]), 1, 3),
            root.clone(),
        ];
        let mut request = trace(&root, spans.iter(), Some(Cause::Degraded), true);
        request.add(&at(span(1, 6, Some(4), vec![]), 12, 13));
        let rows: Vec<(usize, &str)> =
            request.waterfall().iter().map(|(depth, span)| (*depth, span.name.as_str())).collect();
        assert_eq!(
            rows,
            [
                (0, "span 1"),
                (1, "span 2"),
                (1, "span 3"),
                (2, "span 5"),
                (3, "span 8"),
                (0, "span 6"),
            ]
        );
        assert_eq!((request.duration_ms, request.budget_ms), (10.0, Some(50.0)));
        let cut = &request.spans[1];
        assert_eq!((cut.start_ms, cut.duration_ms), (4.0, 5.0));
        assert_eq!(cut.outcome.as_deref(), Some("cut"));
        assert!(!cut.attributes.contains_key(OUTCOME), "told once");
    }
}
