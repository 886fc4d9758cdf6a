//! Admission control, and cancellation of requests whose clients disconnect.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use plugrank_budget::OnOverload;
use plugrank_contract::ErrorCode;
use reqwest::Response;
use serde_json::{Value, json};

use crate::{
    stages::Act,
    support::{Server, problem, wait_until},
};

async fn refused(response: Response, status: u16) -> Value {
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(after >= 1);
    problem(response, status).await
}

#[actix_web::test]
async fn a_ranking_over_the_concurrency_limit_is_429_at_once() {
    let server = Server::start_with(|server, _| server.max_in_flight = 1);
    server.score.next(Act::Hang);
    let body = json!({"user_id": "u1", "budget_ms": 900});
    let (first, second) = tokio::join!(server.rank(&body), async {
        wait_until("the call arrived", async || !server.score.calls().is_empty()).await;
        server.post("/v1/rank", &body).await
    });
    assert_eq!(first["degraded"][0]["cause"], "cut");
    let problem = refused(second, 429).await;
    assert!(problem["detail"].as_str().unwrap().contains("1 rankings"), "{problem}");
    server.rank(&body).await;
    let page = server.metrics().await;
    assert!(page.contains("plugrank_rejected_total{cause=\"in_flight\"} 1"), "{page}");
    assert!(page.contains("plugrank_rank_in_flight 0"), "{page}");
}

/// Has scoring report a backlog longer than any budget here, after some slow answers.
async fn make_scoring_report_a_backlog(server: &Server) {
    for _ in 0..3 {
        server.score.next(Act::Hang);
        server.rank(&json!({"user_id": "u1", "budget_ms": 300})).await;
    }
    server.score.next(Act::Backlog(Duration::from_secs(20)));
    server.rank(&json!({"user_id": "u1", "budget_ms": 300})).await;
}

#[actix_web::test]
async fn a_request_that_would_miss_its_budget_is_503_at_once() {
    let server = Server::start();
    make_scoring_report_a_backlog(&server).await;
    let before = server.retrieve.calls().len();
    let response = server.post("/v1/rank", &json!({"user_id": "u1", "budget_ms": 300})).await;
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((10..=20).contains(&after), "{after}");
    let problem = refused(response, 503).await;
    assert!(problem["detail"].as_str().unwrap().contains("backlog"), "{problem}");
    assert_eq!(server.retrieve.calls().len(), before, "no stage was called");
    let page = server.metrics().await;
    assert!(page.contains("plugrank_rejected_total{cause=\"backlog\"} 1"), "{page}");
}

#[actix_web::test]
async fn a_request_that_would_miss_its_budget_may_be_answered_in_retrieval_order() {
    let server = Server::start_with(|_, budget| budget.on_overload = OnOverload::Degrade);
    make_scoring_report_a_backlog(&server).await;
    let reply = server.rank(&json!({"user_id": "u1", "budget_ms": 300})).await;
    assert_eq!(reply["rung"], "retrieval_order");
    assert_eq!(reply["degraded"][0]["cause"], "backlog");
    assert_eq!(reply["items"].as_array().unwrap().len(), 20);
}

#[actix_web::test]
async fn overload_reported_by_scoring_counts_for_admission() {
    let server = Server::start();
    for _ in 0..3 {
        server.score.next(Act::Hang);
        server.rank(&json!({"user_id": "u1", "budget_ms": 300})).await;
    }
    server.score.next(Act::FailFor(ErrorCode::Overloaded, Duration::from_secs(20)));
    server.rank(&json!({"user_id": "u1", "budget_ms": 300})).await;
    let response = server.post("/v1/rank", &json!({"user_id": "u1", "budget_ms": 300})).await;
    refused(response, 503).await;
}

fn raw(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

fn rank_head(length: usize) -> String {
    format!(
        "POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[actix_web::test]
async fn a_client_that_disconnects_cancels_its_request() {
    let server = Server::start();
    server.score.next(Act::Hang);
    let body = json!({"user_id": "u1", "budget_ms": 2000}).to_string();
    let stream = raw(&server, &(rank_head(body.len()) + &body));
    wait_until("the call arrived", async || {
        server.score.dropped() == 0 && server.score.calls().len() == 1
    })
    .await;
    drop(stream);
    wait_until("the call was cancelled", async || server.score.dropped() == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(server.rerank.calls().is_empty(), "later stages were not called");
    assert!(server.metrics().await.contains("plugrank_rank_in_flight 0"));
}

#[actix_web::test]
async fn a_client_that_stalls_in_its_body_gets_408_and_holds_no_permit() {
    let server = Server::start_with(|server, _| server.client_timeout_ms = 300);
    let mut stream = raw(&server, &(rank_head(100) + "{\"user_id\":"));
    let mut answer = [0; 12];
    let read = tokio::task::spawn_blocking(move || {
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    // Other requests are served meanwhile.
    server.rank(&json!({"user_id": "u1"})).await;
    assert_eq!(read.await.unwrap(), *b"HTTP/1.1 408");
}

/// Large bodies share a memory limit; small ones are not counted.
#[actix_web::test]
async fn a_body_over_the_body_memory_limit_is_429() {
    let server = Server::start_with(|server, _| {
        server.body_memory_mb = 16;
        server.client_timeout_ms = 2000;
    });
    let length = 3 << 20;
    // Four bytes of memory for each byte of the body: 12 of 16 MiB, until the body times out.
    let hold = || {
        let mut stream = raw(&server, &rank_head(length));
        stream.write_all(&vec![b' '; length - 1]).unwrap();
        stream
    };
    let mut holds = hold();
    let body = vec![b' '; length];
    let ask = || {
        let request = server.request(reqwest::Method::POST, "/v1/rank");
        request.header("content-type", "application/json").body(body.clone()).send()
    };
    let mut refused_with = 0;
    for _ in 0..100 {
        let answer = ask().await.unwrap();
        refused_with = answer.status().as_u16();
        if refused_with == 429 {
            let problem = refused(answer, 429).await;
            assert!(problem["detail"].as_str().unwrap().contains("server.body_memory_mb"));
            break;
        }
        // Where the second body was read first, the stalled one was refused.
        holds = hold();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(refused_with, 429);
    server.rank(&json!({"user_id": "u1"})).await;
    let page = server.metrics().await;
    assert!(page.contains("plugrank_rejected_total{cause=\"body_memory\"}"), "{page}");
    // Timed out or disconnected: its memory is free again.
    drop(holds);
    for _ in 0..500 {
        let status = ask().await.unwrap().status().as_u16();
        if status == 400 {
            return;
        }
        assert_eq!(status, 429);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the memory was not given back");
}

#[actix_web::test]
async fn a_connection_over_the_limit_is_429() {
    let server = Server::start_with(|server, _| server.max_connections = 2);
    let body = json!({"user_id": "u1"}).to_string();
    let ask = |mut stream: TcpStream| {
        tokio::task::spawn_blocking(move || {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            (String::from_utf8(answer.to_vec()).unwrap(), stream)
        })
    };
    let request = rank_head(body.len()) + &body;
    let (first, one) = ask(raw(&server, &request)).await.unwrap();
    let (second, two) = ask(raw(&server, &request)).await.unwrap();
    let (third, three) = ask(raw(&server, &request)).await.unwrap();
    let codes = [first, second, third].map(|line| line[9..].to_owned());
    assert_eq!(codes, ["200", "200", "429"]);
    drop((one, two, three));
    let mut last = String::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        (last, _) = ask(raw(&server, &request)).await.unwrap();
        if last.ends_with("200") {
            return;
        }
    }
    panic!("{last}: the closed connections still count");
}
