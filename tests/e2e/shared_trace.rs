//! A request through five processes is one trace.

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde_json::json;

use super::collector::{Collector, Protocol, names, text};
use crate::fleet::{Fleet, peers};

#[tokio::test]
async fn five_processes_share_a_trace() {
    let collector = Collector::start(Protocol::Grpc);
    let fleet = Fleet::start().await;
    let told = collector.settings();
    let embedding = fleet.start_role("embedding", &told).await;
    let near = told.clone() + &peers(&[&embedding]);
    let parts = ["retrieval", "scoring", "reranking"].map(|role| fleet.spawn(role, &near));
    for part in &parts {
        part.ready(&fleet.http).await;
    }
    let [retrieval, scoring, reranking] = &parts;
    let all = told + &peers(&[&embedding, retrieval, scoring, reranking]);
    let gateway = fleet.start_role("gateway", &all).await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let rank = fleet
        .http
        .post(gateway.url("/v1/rank"))
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .json(&json!({"user_id": "u61", "k": 20}));
    assert_eq!(rank.send().await.unwrap().status(), 200);
    one_trace(&collector, trace_id).await;
    let services = collector.services();
    let names: Vec<&str> = services.iter().map(|(name, _)| &**name).collect();
    let roles = ["embedding", "gateway", "reranking", "retrieval", "scoring"];
    assert_eq!(names, roles.map(|role| format!("plugrank-{role}")));
}

/// Each hop is a client's span, the server's below it and the actor's below that, in whichever
/// process; exchanges with Redis are part of the calls that made them.
async fn one_trace(collector: &Collector, trace_id: &str) {
    const INTERNAL: i32 = SpanKind::Internal as i32;
    const SERVER: i32 = SpanKind::Server as i32;
    const CLIENT: i32 = SpanKind::Client as i32;
    let spans = collector
        .wait(|collector| {
            let spans = collector.of_trace(trace_id);
            let has =
                |name: &str, kind| spans.iter().any(|span| span.name == name && span.kind == kind);
            let hops =
                ["retrieval/retrieve", "scoring/score", "embedding/fetch", "reranking/rerank"];
            let all = hops.iter().all(|hop| has(hop, SERVER)) && has("POST /v1/rank", SERVER);
            all.then_some(spans)
        })
        .await;
    let below = |parent: &Span, name: &str, kind: i32| -> Span {
        let found = spans.iter().find(|span| {
            span.parent_span_id == parent.span_id && span.name == name && span.kind == kind
        });
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {name} below {}: {:?}", parent.name, names(&spans)))
    };
    let hop = |from: &Span, name: &str| {
        let server = below(&below(from, name, CLIENT), name, SERVER);
        assert!(text(&server, "plugrank.budget.outcome").is_some());
        assert_eq!(text(&server, "rpc.system").as_deref(), Some("plugrank"));
        below(&server, name, INTERNAL)
    };
    let request = spans.iter().find(|span| span.name == "POST /v1/rank").unwrap();
    let stage = |name: &str| below(request, &format!("rank.{name}"), INTERNAL);
    hop(&stage("reranking"), "reranking/rerank");
    let retrieving = hop(&stage("retrieval"), "retrieval/retrieve");
    let scoring = hop(&stage("scoring"), "scoring/score");
    hop(&scoring, "embedding/fetch");
    let history = below(&below(&retrieving, "hydrate", INTERNAL), "PIPELINE", CLIENT);
    for (key, value) in [
        ("db.system.name", "redis"),
        ("db.operation.name", "PIPELINE"),
        ("db.namespace", "0"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(text(&history, key).as_deref(), Some(value));
    }
}
