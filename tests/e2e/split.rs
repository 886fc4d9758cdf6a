//! The roles in processes of their own, Redis behind them, answer like one process.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    collector::{Collector, Protocol, names, text},
    site::{Site, plugrank, repository, stderr},
};

/// An index filled by several threads at a time is another graph each time, so two processes
/// would find slightly different neighbours.
const ONE_INDEX: &str = "retrieval.ann.threads = 1";

/// Processes that end with the test.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn settings(folder: &Path, role: &str, port: u16, redis: u16, peers: &str) -> PathBuf {
    let text = format!(
        "server.bind = \"127.0.0.1:{port}\"\nserver.workers = 1\nbundle.path = {:?}\nbudget.default_ms = 2000\nbudget.ceiling_ms = 20000\nstore.kind = \"redis\"\nstore.redis_url = \"redis://127.0.0.1:{redis}/0\"\n{ONE_INDEX}\n{peers}\n",
        repository("models/simshop/bundle"),
    );
    let path = folder.join(format!("{role}.toml"));
    fs::write(&path, text).unwrap();
    path
}

fn redis(folder: &Path, port: u16) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)")
}

async fn ready(http: &Client, role: &str, port: u16) {
    let url = format!("http://127.0.0.1:{port}/readyz");
    let deadline = Instant::now() + Duration::from_secs(120);
    while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        assert!(Instant::now() < deadline, "the {role} role was not ready in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What an answer says, without what differs from run to run.
fn substance(mut reply: Value) -> Value {
    for key in ["request_id", "trace_id", "budget"] {
        reply[key] = Value::Null;
    }
    reply
}

#[tokio::test]
async fn five_processes_answer_like_one_and_share_a_trace() {
    let folder = TempDir::new().unwrap();
    let [redis_port, embedding, retrieval, scoring, reranking, gateway] = free_ports();
    let mut running = Running(vec![redis(folder.path(), redis_port)]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", redis_port)).is_err() {
        assert!(Instant::now() < deadline, "redis-server did not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let url = |role: &str, port: u16| format!("peers.{role}_url = \"http://127.0.0.1:{port}\"\n");
    let at_embedding = url("embedding", embedding);
    let everywhere = at_embedding.clone()
        + &url("retrieval", retrieval)
        + &url("scoring", scoring)
        + &url("reranking", reranking);
    let roles = [
        ("embedding", embedding, ""),
        ("retrieval", retrieval, at_embedding.as_str()),
        ("scoring", scoring, &at_embedding),
        ("reranking", reranking, &at_embedding),
        ("gateway", gateway, &everywhere),
    ];
    let http = Client::new();
    let collector = Collector::start(Protocol::Grpc);
    for (role, port, peers) in roles {
        let more = collector.settings() + peers;
        let config = settings(folder.path(), role, port, redis_port, &more);
        if role == "embedding" {
            let load = plugrank(&["load", "--config"])
                .arg(&config)
                .arg("--dataset")
                .arg(repository("models/simshop/dataset"))
                .output()
                .unwrap();
            assert!(load.status.success(), "{}", stderr(&load));
        }
        let serve = plugrank(&["serve", "--role", role, "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        running.0.push(serve);
        ready(&http, role, port).await;
    }

    let one = Site::start_with(ONE_INDEX).await;
    let rank = async |url: String, body: &Value| -> Value {
        let request = http.post(url).header("x-request-id", "018f3f2e-7b1a-7c3d-9e4f-5a6b7c8d9e0f");
        request.json(body).send().await.unwrap().json().await.unwrap()
    };
    for user in 1..=60 {
        let moment = 4_000_000_000_000_i64;
        let mut body =
            json!({"user_id": format!("u{user}"), "k": 20, "context": {"timestamp": moment}});
        if user % 3 == 0 {
            body["candidates"] = json!(["i1", "i2", "i3", "i5", "i8", "no-such-item"]);
        }
        let together = substance(rank(one.url("/v1/rank"), &body).await);
        let apart = rank(format!("http://127.0.0.1:{gateway}/v1/rank"), &body).await;
        assert_eq!(together, substance(apart), "{body}");
    }
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let rank = http
        .post(format!("http://127.0.0.1:{gateway}/v1/rank"))
        .header("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01"))
        .json(&json!({"user_id": "u61", "k": 20}));
    assert_eq!(rank.send().await.unwrap().status(), 200);
    one_trace(&collector, trace_id).await;
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
        assert!(text(&server, "budget.outcome").is_some());
        below(&server, name, INTERNAL)
    };
    let request = spans.iter().find(|span| span.name == "POST /v1/rank").unwrap();
    let stage = |name: &str| below(request, &format!("rank.{name}"), INTERNAL);
    hop(&stage("reranking"), "reranking/rerank");
    let retrieving = hop(&stage("retrieval"), "retrieval/retrieve");
    let scoring = hop(&stage("scoring"), "scoring/score");
    hop(&scoring, "embedding/fetch");
    let history =
        below(&below(&retrieving, "hydrate", INTERNAL), "PIPELINE ZREVRANGEBYLEX", CLIENT);
    for (key, value) in [
        ("db.system.name", "redis"),
        ("db.operation.name", "PIPELINE ZREVRANGEBYLEX"),
        ("db.namespace", "0"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(text(&history, key).as_deref(), Some(value));
    }
}
