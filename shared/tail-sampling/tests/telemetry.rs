//! The tail sampler as a part of a process's telemetry.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_runtime::{
    Telemetry,
    options::{AdminOptions, TelemetryOptions},
    telemetry::{Attribute, Cause, OUTCOME, RequestRecord, SpanRecord, TOTAL_MS, TailSampler},
    trace_context::{self, TraceHead},
};
use plugrank_tail_sampling::{RecentRequests, TailSampling};
use tracing::{Span, info_span};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn settings(endpoint: Option<&str>) -> TelemetryOptions {
    let otlp_endpoint = endpoint.map(ToOwned::to_owned);
    TelemetryOptions { otlp_endpoint, ..TelemetryOptions::default() }
}

fn recent() -> RecentRequests {
    RecentRequests::new(&AdminOptions::default())
}

fn tail(recent: Option<RecentRequests>) -> Option<Arc<dyn TailSampler>> {
    Some(Arc::new(TailSampling::new(recent)))
}

#[test]
fn a_degraded_request_gets_its_spans_afterwards() {
    let recent = recent();
    let mut settings = settings(Some("http://127.0.0.1:1"));
    settings.sample_share = 0.0;
    let (dispatch, telemetry) = Telemetry::build(&settings, tail(Some(recent.clone()))).unwrap();
    let span = |name, attributes| SpanRecord {
        name: Cow::Borrowed(name),
        began: Instant::now(),
        spent: Duration::from_millis(3),
        attributes,
        error: None,
    };
    let record = || RequestRecord {
        request: span("POST /v1/rank", vec![(TOTAL_MS, Attribute::Float(50.0))]),
        stages: vec![span("rank.scoring", vec![(OUTCOME, Attribute::Text("cut".into()))])],
    };
    let spent = Duration::from_millis(3);
    let head = tracing::dispatcher::with_default(&dispatch, || {
        let head = TraceHead::begin(Some(&CALLER.replace("-01", "-00")), None);
        head.ended(Some(Cause::Degraded), spent, true, record);
        TraceHead::begin(None, None).ended(None, spent, false, || unreachable!());
        head
    });
    let noted = recent.noted();
    assert_eq!(noted.len(), 1);
    let request = &noted[0];
    assert_eq!((request.exported, request.cause), (true, Some(Cause::Degraded)));
    assert_eq!(request.trace_id, head.trace_id().as_str());
    let names: Vec<(usize, &str)> =
        request.waterfall().iter().map(|(depth, span)| (*depth, &*span.name)).collect();
    assert_eq!(names, [(0, "POST /v1/rank"), (1, "rank.scoring")]);
    let (stage, root) = (&request.spans[0], &request.spans[1]);
    assert_eq!(stage.outcome.as_deref(), Some("cut"));
    assert_eq!(root.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
    assert!(head.traceparent().as_str().contains(&root.span_id));
    telemetry.shutdown();
}

#[test]
fn inner_spans_are_created_only_within_recorded_ones() {
    for (endpoint, recent, made) in [
        (None, None, false),
        (Some("http://127.0.0.1:1"), None, true),
        (None, Some(recent()), true),
    ] {
        let (dispatch, _telemetry) = Telemetry::build(&settings(endpoint), tail(recent)).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            let is_recorded = |span: &Span| trace_context::traceparent(span).is_some();
            let inner = || is_recorded(&info_span!(target: "plugrank_trace", "inner"));
            assert!(!inner());
            let root = info_span!(target: "plugrank_trace::root", "outer");
            assert_eq!(is_recorded(&root), made);
            assert_eq!(root.in_scope(inner), made);
        });
    }
}
