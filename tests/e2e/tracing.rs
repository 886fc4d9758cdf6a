//! Spans reach a real OTLP receiver.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span,
};
use prost::Message;
use serde_json::json;

use super::site::Site;

type Spans = Arc<Mutex<Vec<Span>>>;

/// A collector that keeps what it receives. Returns its address.
fn collector(spans: Spans) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("its address"));
    std::thread::spawn(move || actix_web::rt::System::new().block_on(collect(listener, spans)));
    address
}

async fn collect(listener: TcpListener, spans: Spans) -> std::io::Result<()> {
    HttpServer::new(move || {
        let spans = Arc::clone(&spans);
        let receive = move |body: web::Bytes| {
            let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
            let received = request
                .resource_spans
                .into_iter()
                .flat_map(|resource| resource.scope_spans)
                .flat_map(|scope| scope.spans);
            spans.lock().expect("no test panicked here").extend(received);
            async { HttpResponse::Ok().finish() }
        };
        App::new().route("/v1/traces", web::post().to(receive))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run()
    .await
}

#[tokio::test]
async fn every_stage_is_a_span_of_the_callers_trace() {
    let spans = Spans::default();
    let endpoint = collector(Arc::clone(&spans));
    let site = Site::start_with(&format!("telemetry.otlp_endpoint = \"{endpoint}\"")).await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let response = site
        .post("/v1/rank")
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .json(&json!({"user_id": "u1", "k": 5}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);

    let of_trace = || -> Vec<Span> {
        let spans = spans.lock().unwrap();
        let ours = |span: &&Span| hex(&span.trace_id) == trace_id;
        spans.iter().filter(ours).cloned().collect()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let stages = ["retrieval", "scoring", "reranking"];
    let stage_span = |spans: &[Span], stage: &str| {
        spans
            .iter()
            .find(|span| span.name.contains(stage) && attribute(span, "budget.outcome").is_some())
            .cloned()
    };
    while !stages.iter().all(|stage| stage_span(&of_trace(), stage).is_some()) {
        assert!(Instant::now() < deadline, "spans so far: {:?}", names(&of_trace()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for stage in stages {
        let span = stage_span(&of_trace(), stage).unwrap();
        for key in ["budget.allotted_ms", "budget.spent_ms", "budget.outcome"] {
            assert!(attribute(&span, key).is_some(), "{stage} has no {key}");
        }
    }
}

#[tokio::test]
async fn an_unreachable_collector_costs_no_request() {
    let gone = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let site = Site::start_with(&format!("telemetry.otlp_endpoint = \"http://{gone}\"")).await;
    for user in 1..=20 {
        assert_eq!(site.rank_for(&format!("u{user}"), 5).await.len(), 5);
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    Some(format!("{:?}", found.value))
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
