//! The same service behaves equally, called in process and over HTTP.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    io::{Read, Write},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpServer};
use async_trait::async_trait;
use plugrank_body::BodyMemory;
use plugrank_contract::{Call, CallError, Context, ErrorCode, Traceparent};
use plugrank_transport::{
    Client, Local, LocalOptions, PeerOptions, Remote, RemoteOptions, Service, server, wire,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Ask {
    Echo(String),
    Sleep(u64),
    Panic,
    Refuse,
    Trace,
}

impl Call for Ask {
    type Reply = String;
    const PATH: &'static str = "/rpc/v1/test/ask";
    const IDEMPOTENT: bool = true;
}

struct Logic;

#[async_trait]
impl Service<Ask> for Logic {
    async fn call(&self, context: Context, call: Ask) -> Result<String, CallError> {
        match call {
            Ask::Echo(text) => Ok(text),
            Ask::Sleep(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok("slept".into())
            }
            Ask::Panic => panic!("on request"),
            Ask::Refuse => Err(CallError::invalid("no such thing")),
            Ask::Trace => {
                Ok([context.traceparent.map(|parent| parent.to_string()), context.tracestate]
                    .map(Option::unwrap_or_default)
                    .join(" "))
            }
        }
    }
}

struct Both {
    local: Local<Logic>,
    port: u16,
    clients: [(&'static str, Client<Ask>); 2],
}

async fn both(max_in_flight: usize) -> Both {
    let options =
        LocalOptions { name: "test", max_in_flight: NonZeroUsize::new(max_in_flight).unwrap() };
    let local = Local::start_here(Arc::new(Logic), &options);
    let served: Client<Ask> = Arc::new(local.clone());
    let http = HttpServer::new(move || {
        let served = Arc::clone(&served);
        App::new()
            .app_data(server::body_reader(Duration::from_millis(300), BodyMemory::new(64 << 20)))
            .configure(move |config| server::route(config, served))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let port = http.addrs()[0].port();
    actix::spawn(http.run());
    let remote: Client<Ask> = Arc::new(remote(&format!("http://127.0.0.1:{port}")));
    Both { clients: [("local", Arc::new(local.clone())), ("remote", remote)], local, port }
}

fn remote(base_url: &str) -> Remote {
    Remote::new(&options(vec![base_url.into()])).unwrap()
}

fn options(base_urls: Vec<String>) -> RemoteOptions {
    RemoteOptions { name: "test", base_urls, peers: PeerOptions::default(), token: None }
}

fn within(ms: u64) -> Context {
    Context::background().within(Duration::from_millis(ms))
}

#[actix::test]
async fn answers_errors_and_panics_are_equal_locally_and_remotely() {
    let both = both(8).await;
    for (name, client) in &both.clients {
        let echo = client.call(within(5000), Ask::Echo("grüße".into())).await;
        assert_eq!(echo, Ok("grüße".into()), "{name}");
        let refused = client.call(within(5000), Ask::Refuse).await;
        assert_eq!(refused, Err(CallError::invalid("no such thing")), "{name}");
        let panicked = client.call(within(5000), Ask::Panic).await.unwrap_err();
        assert_eq!(panicked.code, ErrorCode::Internal, "{name}");
        assert!(panicked.message.contains("on request"), "{name}: {panicked}");
        assert!(client.call(within(5000), Ask::Echo("alive".into())).await.is_ok(), "{name}");
    }
    assert_eq!(both.local.panics(), 2);
    assert!(both.local.alive());
}

#[actix::test]
async fn a_deadline_cancels_the_call_and_frees_its_permit() {
    let both = both(1).await;
    for (name, client) in &both.clients {
        let late = client.call(within(40), Ask::Sleep(60_000)).await.unwrap_err();
        assert_eq!(late.code, ErrorCode::DeadlineExceeded, "{name}");
        let freed = async {
            while both.local.in_flight() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), freed).await.unwrap();
        let past = client.call(within(0), Ask::Echo("late".into())).await.unwrap_err();
        assert_eq!(past.code, ErrorCode::DeadlineExceeded, "{name}");
    }
}

#[actix::test]
async fn the_call_over_the_limit_is_refused_at_once() {
    let both = both(1).await;
    let busy = both.local.clone();
    let busy = actix::spawn(async move { busy.call(within(60_000), Ask::Sleep(30_000)).await });
    while both.local.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    for (name, client) in &both.clients {
        let refused = client.call(within(5000), Ask::Echo("x".into())).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Overloaded, "{name}");
    }
    assert_eq!(both.local.rejected(), 2);
    busy.abort();
}

#[actix::test]
async fn the_context_is_sent_to_a_remote_service() {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (name, client) in both(8).await.clients {
        let mut context = within(5000);
        context.traceparent = Traceparent::from_header(traceparent);
        context.tracestate = Some("vendor=1".into());
        let seen = client.call(context, Ask::Trace).await;
        assert_eq!(seen, Ok(format!("{traceparent} vendor=1")), "{name}");
    }
}

#[actix::test]
async fn an_unreachable_service_is_unavailable() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client: Client<Ask> = Arc::new(remote(&format!("http://{gone}")));
    let error = client.call(within(5000), Ask::Refuse).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    for base_urls in [vec!["scoring:8081".into()], vec![]] {
        assert!(Remote::new(&options(base_urls)).is_err());
    }
}

#[actix::test]
async fn a_name_is_resolved() {
    let both = both(8).await;
    let client: Client<Ask> = Arc::new(remote(&format!("http://localhost:{}", both.port)));
    assert_eq!(client.call(within(5000), Ask::Echo("x".into())).await, Ok("x".into()));
    let client: Client<Ask> = Arc::new(remote("http://no-such-host.invalid:1"));
    let error = client.call(within(300), Ask::Refuse).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable, "{error}");
}

/// Bodies that Plugrank does not send are refused with the reason.
#[actix::test]
async fn compressed_and_slow_bodies_are_refused() {
    let both = both(8).await;
    let url = format!("http://127.0.0.1:{}{}", both.port, Ask::PATH);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let refused = async |body: reqwest::Body, headers: &[(&str, &str)]| {
        let mut request = http.post(&url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, reply) = (answer.status().as_u16(), answer.bytes().await.unwrap());
        let error = wire::decode::<Result<String, CallError>>(&reply).unwrap().unwrap_err();
        (status, error.message)
    };
    let (status, why) = refused(vec![0x1f, 0x8b].into(), &[("content-encoding", "gzip")]).await;
    assert_eq!(status, 400);
    assert!(why.contains("content-encoding"), "{why}");
    let (status, why) = refused(vec![0; 65 << 20].into(), &[]).await;
    assert_eq!(status, 400);
    assert!(why.contains("67108864"), "{why}");
    let begun = std::time::Instant::now();
    let mut stalls = std::net::TcpStream::connect(("127.0.0.1", both.port)).unwrap();
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc", Ask::PATH);
    stalls.write_all(head.as_bytes()).unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = [0; 12];
        stalls.read_exact(&mut answer).unwrap();
        answer
    });
    assert_eq!(answer.await.unwrap(), *b"HTTP/1.1 400");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
