//! Spans as a collector gets them: OTLP over HTTP, protobuf.

use std::{net::TcpListener, sync::Arc};

use actix_web::{App, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::any_value::Value as Attribute,
    trace::v1::Span,
};
use parking_lot::Mutex;
use plugrank_runtime::{Telemetry, options::TelemetryOptions};
use plugrank_tail_sampling::TailSampling;
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{stages::Act, support::Server};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const DEGRADED: &str = "0af7651916cd43dd8448eb211c80319d";
const QUIET: &str = "0af7651916cd43dd8448eb211c80319e";
const CALLER: &str = "b7ad6b7169203331";

type Received = Arc<Mutex<Vec<Span>>>;

async fn receive(received: web::Data<Mutex<Vec<Span>>>, body: web::Bytes) -> HttpResponse {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let spans = request.resource_spans.into_iter().flat_map(|resource| {
        let service = resource.resource.unwrap().attributes;
        let named = service.iter().any(|attribute| attribute.key == "service.name");
        assert!(named, "{service:?}");
        resource.scope_spans.into_iter().flat_map(|scope| scope.spans)
    });
    received.lock().extend(spans);
    let reply = ExportTraceServiceResponse::default().encode_to_vec();
    HttpResponse::Ok().content_type("application/x-protobuf").body(reply)
}

/// A collector on a free port.
fn collector() -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let received = Received::default();
    let data = web::Data::from(Arc::clone(&received));
    let server = HttpServer::new(move || {
        App::new().app_data(data.clone()).route("/v1/traces", web::post().to(receive))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    actix_web::rt::spawn(server);
    (address, received)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Attribute> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone()?.value
}

fn text(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Attribute::StringValue(text)) => text,
        other => panic!("{key} of {} is {other:?}", span.name),
    }
}

fn number(span: &Span, key: &str) -> f64 {
    match attribute(span, key) {
        Some(Attribute::DoubleValue(number)) => number,
        Some(Attribute::IntValue(number)) => number as f64,
        other => panic!("{key} of {} is {other:?}", span.name),
    }
}

/// The only test that sets up telemetry for the whole process; the others' spans are told apart by
/// their trace.
#[actix_web::test]
async fn a_trace_has_one_server_span_and_a_span_for_each_stage() {
    let (endpoint, received) = collector();
    let settings = TelemetryOptions {
        otlp_endpoint: Some(endpoint),
        log_level: "off".to_owned(),
        ..TelemetryOptions::default()
    };
    let telemetry = Telemetry::install(&settings, Some(Arc::new(TailSampling::new(None)))).unwrap();

    let server = Server::start();
    let arms = json!([{"name": "old", "weight": 1}, {"name": "new", "weight": 1}]);
    let experiment = json!({"layer": "ranking", "control": "old", "arms": arms});
    assert_eq!(server.put("/v1/experiments/two", &experiment).await.status(), 200);
    server.rerank.next(Act::Hang);
    let response = server
        .request(Method::POST, "/v1/rank")
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .header("tracestate", "vendor=first")
        .header("tracestate", "other=second")
        .json(&json!({"user_id": "u1", "budget_ms": 300}))
        .send()
        .await
        .unwrap();
    let ours = response.headers()["traceparent"].to_str().unwrap().to_owned();
    let reply: Value = response.json().await.unwrap();
    assert_eq!(reply["trace_id"], TRACE);
    // One that its caller does not sample, and that is degraded as well; and one that is not.
    let unsampled = |trace: &str| {
        let request = server.request(Method::POST, "/v1/rank");
        let request = request.header("traceparent", format!("00-{trace}-{CALLER}-00"));
        request.json(&json!({"user_id": "u1", "budget_ms": 300})).send()
    };
    server.rerank.next(Act::Hang);
    let response = unsampled(DEGRADED).await.unwrap();
    let afterwards = response.headers()["traceparent"].to_str().unwrap().to_owned();
    let degraded: Value = response.json().await.unwrap();
    let quiet = unsampled(QUIET).await.unwrap();
    assert!(quiet.headers()["traceparent"].to_str().unwrap().starts_with(&format!("00-{QUIET}-")));
    server.get("/healthz").await;
    actix_web::web::block(|| telemetry.shutdown()).await.unwrap();

    let all = received.lock().clone();
    assert!(all.iter().all(|span| !span.name.contains("/healthz")), "probes are not traced");
    let mine: Vec<&Span> = all.iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    assert_eq!(mine.len(), 4, "{mine:#?}");
    let named = |name: &str| *mine.iter().find(|span| span.name == name).unwrap();

    let http = named("POST /v1/rank");
    assert_eq!(hex(&http.parent_span_id), CALLER);
    assert_eq!(ours, format!("00-{TRACE}-{}-01", hex(&http.span_id)));
    assert_eq!(http.kind, 2, "server");
    assert_eq!(text(http, "http.request.method"), "POST");
    assert_eq!(text(http, "http.route"), "/v1/rank");
    assert_eq!(text(http, "url.path"), "/v1/rank");
    assert_eq!(number(http, "http.response.status_code"), 200.0);

    has_stages(&mine, http, &reply);
    let (context, _) = server.score.calls().remove(0);
    let scoring = hex(&named("rank.scoring").span_id);
    assert_eq!(context.traceparent.unwrap().as_str(), format!("00-{TRACE}-{scoring}-01"));
    assert_eq!(context.tracestate.as_deref(), Some("vendor=first,other=second"));

    let spans_of = |trace: &str| -> Vec<&Span> {
        all.iter().filter(|span| hex(&span.trace_id) == trace).collect()
    };
    assert!(spans_of(QUIET).is_empty());
    let spans = spans_of(DEGRADED);
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let http = spans.iter().find(|span| span.name == "POST /v1/rank").unwrap();
    assert_eq!(hex(&http.parent_span_id), CALLER);
    assert_eq!(afterwards, format!("00-{DEGRADED}-{}-00", hex(&http.span_id)));
    assert_eq!(http.kind, 2, "server");
    assert_eq!(text(http, "url.path"), "/v1/rank");
    assert_eq!(number(http, "http.response.status_code"), 200.0);
    has_stages(&spans, http, &degraded);
    let (context, _) = server.score.calls().remove(1);
    assert_eq!(
        context.traceparent.unwrap().as_str(),
        afterwards,
        "nothing is sampled there either"
    );
}

/// One span for each stage of the reply, below the request's, which names the arms of the reply.
fn has_stages(spans: &[&Span], http: &Span, reply: &Value) {
    let arm = reply["experiments"]["ranking"].as_str().unwrap();
    assert_eq!(text(http, "plugrank.experiments"), format!("ranking={arm}"));
    for stage in reply["budget"]["stages"].as_array().unwrap() {
        let name = format!("rank.{}", stage["stage"].as_str().unwrap());
        let span = spans.iter().find(|span| span.name == name).unwrap();
        assert_eq!(span.parent_span_id, http.span_id);
        assert_eq!(text(span, "plugrank.budget.outcome"), stage["outcome"].as_str().unwrap());
        assert_eq!(number(span, "plugrank.budget.spent_ms"), stage["spent_ms"].as_f64().unwrap());
        assert_eq!(
            number(span, "plugrank.budget.allotted_ms"),
            stage["allotted_ms"].as_f64().unwrap()
        );
        assert_eq!(text(span, "plugrank.rung"), "full");
    }
    let cut = spans.iter().find(|span| span.name == "rank.reranking").unwrap();
    assert_eq!(text(cut, "plugrank.budget.outcome"), "cut");
    let status = cut.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.is_empty()), (2, false), "error");
}
