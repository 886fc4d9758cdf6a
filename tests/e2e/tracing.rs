//! Spans reach a real OTLP receiver; an unreachable one does not delay requests.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{common::v1::any_value::Value as Count, trace::v1::Span};
use plugrank_tls::test_certificates::TestAuthority;
use serde_json::{Value, json};

use super::{
    collector::{Collector, Protocol, attribute, hex, named, names, silent, text},
    site::Site,
};

const CALLER: &str = "b7ad6b7169203331";
const STATE: &str = "vendor=1";

/// Ranks as part of a caller's trace, sampled there or not.
async fn rank_in(site: &Site, trace_id: &str, sampled: bool, body: Value) -> Value {
    let flags = if sampled { "01" } else { "00" };
    let response = site
        .post("/v1/rank")
        .header("traceparent", format!("00-{trace_id}-{CALLER}-{flags}"))
        .header("tracestate", STATE)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

fn trace_id(number: u64) -> String {
    format!("0af7651916cd43dd{number:016x}")
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_exported_over_https() {
    let folder = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new();
    let ca_file = authority.write(folder.path(), "collector-ca.pem");
    let files = authority.issue(folder.path(), "collector", &["localhost"]);
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let collector = Collector::start(protocol).behind_tls(&files, &ca_file);
        let site = Site::start_with(&collector.settings()).await;
        let trace = trace_id(9);
        rank_in(&site, &trace, true, json!({"user_id": "u1", "k": 5})).await;
        let spans = collector
            .wait(|collector| Some(collector.of_trace(&trace)).filter(|spans| !spans.is_empty()))
            .await;
        let names = names(&spans);
        assert!(names.iter().any(|name| name.contains("rank")), "{protocol:?}: {names:?}");
        let schema = "https://opentelemetry.io/schemas/1.37.0".to_owned();
        assert_eq!(collector.services(), [("plugrank".to_owned(), schema)].into(), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_request_is_one_trace_over_either_protocol() {
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let collector = Collector::start(protocol);
        let site = Site::start_with(&collector.settings()).await;
        let trace = trace_id(1);
        let reply = rank_in(&site, &trace, true, json!({"user_id": "u1", "k": 5})).await;
        let spans = collector
            .wait(|collector| {
                let spans = collector.of_trace(&trace);
                spans.iter().any(|span| span.name == "POST /v1/rank").then_some(spans)
            })
            .await;
        is_whole(&spans, &reply);
        // The latency histograms have it as exemplar.
        let page = site.open_metrics().await;
        let exemplar = format!(" # {{trace_id=\"{trace}\"}} ");
        for histogram in ["http_request_duration_seconds", "stage_duration_seconds"] {
            let buckets = format!("plugrank_{histogram}_bucket{{");
            let named = |line: &str| line.starts_with(&buckets) && line.contains(&exemplar);
            assert!(page.lines().any(named), "{histogram}: {page}");
        }
        // Batches have their own traces, which link to the calls that waited for them.
        let waiting = named(&spans, "score-unified wait and run").span_id.clone();
        let links = |span: &Span| span.links.iter().any(|link| link.span_id == waiting);
        let batch =
            collector.wait(|collector| collector.all().into_iter().find(|span| links(span))).await;
        assert_eq!(batch.name, "score-unified batch");
        assert_ne!(hex(&batch.trace_id), trace);
        for key in ["plugrank.batch.close_reason", "plugrank.batch.oldest_ms"] {
            assert!(attribute(&batch, key).is_some(), "{key}");
        }
        for key in ["plugrank.batch.rows", "plugrank.batch.padded_rows", "plugrank.batch.entries"] {
            let count = attribute(&batch, key);
            assert!(matches!(count, Some(Count::IntValue(1..))), "{key}: {count:?}");
        }
    }
}

/// The caller's span, the server's below it, a stage below that, and its service's below the stage.
fn is_whole(spans: &[Span], reply: &Value) {
    let server = named(spans, "POST /v1/rank");
    assert_eq!(hex(&server.parent_span_id), CALLER);
    assert!(spans.iter().all(|span| span.trace_state == STATE), "{spans:#?}");
    let calls = ["retrieval/retrieve", "scoring/score", "reranking/rerank"];
    for (stage, call) in reply["budget"]["stages"].as_array().unwrap().iter().zip(calls) {
        let span = named(spans, &format!("rank.{}", stage["stage"].as_str().unwrap()));
        assert_eq!(span.parent_span_id, server.span_id);
        assert_eq!(text(span, "plugrank.budget.outcome").as_deref(), stage["outcome"].as_str());
        for key in ["plugrank.budget.allotted_ms", "plugrank.budget.spent_ms"] {
            assert!(attribute(span, key).is_some(), "{stage} has no {key}");
        }
        assert_eq!(named(spans, call).parent_span_id, span.span_id, "{:?}", names(spans));
    }
    let records = named(spans, "records");
    assert_eq!(records.parent_span_id, named(spans, "scoring/score").span_id);
    let waiting = named(spans, "score-unified wait and run");
    assert_eq!(waiting.parent_span_id, named(spans, "scoring/score").span_id);
}

#[tokio::test]
async fn a_degraded_request_is_exported_with_sampling_off() {
    let collector = Collector::start(Protocol::Http);
    let settings = collector.settings() + "telemetry.sample_share = 0.0\n";
    let site = Site::start_with(&settings).await;
    let quiet = trace_id(1);
    let reply = rank_in(&site, &quiet, false, json!({"user_id": "u1", "k": 5})).await;
    assert_eq!(reply["degraded"], json!([]));
    let sampled = trace_id(2);
    rank_in(&site, &sampled, true, json!({"user_id": "u1", "k": 5})).await;
    // Budgets are tried until one fits only some of the stages.
    let mut cut = None;
    for number in 3..300 {
        let trace = trace_id(number);
        let budget_ms = number % 30 + 1;
        let body = json!({"user_id": format!("u{number}"), "k": 5, "budget_ms": budget_ms});
        let response = site
            .post("/v1/rank")
            .header("traceparent", format!("00-{trace}-{CALLER}-00"))
            .json(&body)
            .send()
            .await
            .unwrap();
        let answered = response.status() == 200;
        let reply: Value = response.json().await.unwrap();
        if answered && reply["degraded"] != json!([]) {
            cut = Some((trace, reply));
            break;
        }
    }
    let (cut, reply) = cut.expect("none of 297 requests is answered in part");
    let spans = collector
        .wait(|collector| {
            let spans = collector.of_trace(&cut);
            spans.iter().any(|span| span.name == "POST /v1/rank").then_some(spans)
        })
        .await;
    has_its_stages(&spans, &reply);
    collector.wait(|collector| (!collector.of_trace(&sampled).is_empty()).then_some(())).await;
    assert_eq!(names(&collector.of_trace(&quiet)), Vec::<&str>::new());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = site.get("/metrics").await.1;
        let metrics = metrics.as_str().unwrap();
        // Counted once the collector has confirmed them, which it does after it has them.
        if number(metrics, "plugrank_spans_exported_total") > 0.0 {
            let dropped = "plugrank_traces_total{decision=\"not_sampled\"}";
            assert!(number(metrics, dropped) > 0.0, "{metrics}");
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The request's span, made afterwards, and below it one span for each stage that ran, as the reply
/// has them.
fn has_its_stages(spans: &[Span], reply: &Value) {
    let server = named(spans, "POST /v1/rank");
    assert_eq!(hex(&server.parent_span_id), CALLER);
    assert_eq!(attribute(server, "plugrank.degraded"), Some(Count::BoolValue(true)));
    assert!(spans.len() > 1, "{:?}", names(spans));
    for stage in spans.iter().filter(|span| span.name != server.name) {
        assert!(stage.name.starts_with("rank."), "{:?}", names(spans));
        assert_eq!(stage.parent_span_id, server.span_id);
        assert!(
            text(stage, "plugrank.budget.outcome").is_some()
                && text(stage, "plugrank.rung").is_some()
        );
        assert!(stage.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(stage.end_time_unix_nano <= server.end_time_unix_nano);
    }
    let stages = reply["budget"]["stages"].as_array().unwrap().iter();
    for stage in stages.filter(|stage| stage["outcome"] != "skipped") {
        let span = named(spans, &format!("rank.{}", stage["stage"].as_str().unwrap()));
        assert_eq!(text(span, "plugrank.budget.outcome").as_deref(), stage["outcome"].as_str());
        for (key, value) in [
            ("plugrank.budget.spent_ms", "spent_ms"),
            ("plugrank.budget.allotted_ms", "allotted_ms"),
        ] {
            let number = stage[value].as_f64().map(Count::DoubleValue);
            assert_eq!(attribute(span, key), number, "{key}");
        }
    }
}

#[tokio::test]
async fn an_unreachable_collector_costs_no_request() {
    let gone = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    check_requests_are_not_delayed(&format!("http://{gone}")).await;
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_no_request() {
    check_requests_are_not_delayed(&silent()).await;
}

/// Every request is answered at once, what cannot be sent is dropped and counted, and the process
/// ends when it is asked to.
async fn check_requests_are_not_delayed(endpoint: &str) {
    for protocol in ["http", "grpc"] {
        let site = Site::start_with(&format!(
            "telemetry.otlp_endpoint = \"{endpoint}\"\ntelemetry.otlp_protocol = \"{protocol}\"\n\
             telemetry.queue_spans = 40\ntelemetry.export_timeout_ms = 2000\n"
        ))
        .await;
        let started = Instant::now();
        for user in 1..=40 {
            assert_eq!(site.rank_for(&format!("u{user}"), 5).await.len(), 5);
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{protocol}: {:?}", started.elapsed());
        let page = site.get("/metrics").await.1;
        let page = page.as_str().unwrap();
        let full = number(page, "plugrank_spans_dropped_total{cause=\"queue_full\"}");
        assert!(full > 0.0, "{protocol}: {page}");
        let stopping = Instant::now();
        assert_eq!(site.terminate(), Some(0));
        assert!(stopping.elapsed() < Duration::from_secs(15), "{:?}", stopping.elapsed());
    }
}

/// The value of a sample on a metrics page; 0 when it is not there.
fn number(page: &str, sample: &str) -> f64 {
    let line = page.lines().find(|line| line.starts_with(sample));
    let value = line.and_then(|line| line.split(' ').nth(1));
    value.map_or(0.0, |value| value.parse().unwrap())
}
