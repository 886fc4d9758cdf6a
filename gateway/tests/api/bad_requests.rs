//! Invalid requests: the answer names the field, and the process stays up.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    stages::Act,
    support::{Server, problem},
};

async fn refused(server: &Server, body: &Value, field: &str) {
    let found = problem(server.post("/v1/rank", body).await, 400).await;
    assert_eq!(found["field"], field, "{found}");
    assert_eq!(found["errors"][0]["field"], field);
    assert_eq!(server.get("/healthz").await.status(), 200);
}

#[actix_web::test]
async fn fields_out_of_range_are_named() {
    let server = Server::start();
    let long = "u".repeat(257);
    let many: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    for (body, field) in [
        (json!({"user_id": "u", "k": 0}), "k"),
        (json!({"user_id": "u", "k": -3}), "k"),
        (json!({"user_id": "u", "k": 1_000_000_000}), "k"),
        (json!({"user_id": "u", "k": 1e9}), "k"),
        (json!({"user_id": "u", "k": "20"}), "k"),
        (json!({"user_id": "u", "k": 501}), "k"),
        (json!({"user_id": ""}), "user_id"),
        (json!({"user_id": long}), "user_id"),
        (json!({"user_id": 7}), "user_id"),
        (json!({}), "user_id"),
        (json!({"user_id": "u", "candidates": many}), "candidates"),
        (json!({"user_id": "u", "candidates": []}), "candidates"),
        (json!({"user_id": "u", "candidates": "i1"}), "candidates"),
        (json!({"user_id": "u", "candidates": ["a", "b", "c", ""]}), "candidates[3]"),
        (json!({"user_id": "u", "candidates": ["a", 5]}), "candidates[1]"),
        (json!({"user_id": "u", "exclude": vec!["a"; 1001]}), "exclude"),
        (json!({"user_id": "u", "budget_ms": 0}), "budget_ms"),
        (json!({"user_id": "u", "budget_ms": 2001}), "budget_ms"),
        (json!({"user_id": "u", "context": {"timestamp": -1}}), "context.timestamp"),
        (json!({"user_id": "u", "context": {"time": 1}}), "context.time"),
        (json!({"user_id": "u", "explain": "yes"}), "explain"),
        (json!({"user_id": "u", "limit": 5}), "limit"),
    ] {
        refused(&server, &body, field).await;
    }
    assert!(server.retrieve.calls().is_empty());
    server.rank(&json!({"user_id": "u"})).await;
}

#[actix_web::test]
async fn an_invalid_filter_is_named_by_field_and_pointer() {
    let server = Server::start();
    let ask = async |filter: Value| {
        server.post("/v1/rank", &json!({"user_id": "u", "filter": filter})).await
    };
    for (filter, field, pointer) in [
        (json!({"must": [{"field": "price"}]}), "filter.must[0]", "/filter/must/0"),
        (
            json!({"should": [{"field": "brand", "any": ["x"]}, {"field": "brand", "any": []}]}),
            "filter.should[1].any",
            "/filter/should/1/any",
        ),
    ] {
        let found = problem(ask(filter).await, 400).await;
        assert_eq!(found["field"], field, "{found}");
        assert_eq!(found["errors"][0]["pointer"], pointer);
    }
    let unread = problem(ask(json!({"must": [{"field": "price", "from": 5}]})).await, 400).await;
    assert_eq!(unread["field"], "filter.must[0].from");
    assert!(server.retrieve.calls().is_empty());

    // Whether items have such a column is known to retrieval only.
    server.retrieve.next(Act::Refuse("/filters/0/must/0/field"));
    let found = problem(ask(json!({"must": [{"field": "prise", "gt": 5}]})).await, 400).await;
    assert_eq!(found["errors"][0]["pointer"], "/filter/must/0/field");
    assert_eq!(found["field"], "filter.must[0].field");
}

#[actix_web::test]
async fn all_invalid_fields_are_named_at_once() {
    let server = Server::start();
    let body = json!({"user_id": "", "k": 0, "budget_ms": 0});
    let found = problem(server.post("/v1/rank", &body).await, 400).await;
    let fields: Vec<&Value> =
        found["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["user_id", "k", "budget_ms"]);
}

#[actix_web::test]
async fn a_body_that_is_not_json_is_refused() {
    let server = Server::start();
    for body in ["", "hello", "{\"user_id\": \"u\"", "[\"u\"]", "{\"user_id\": \"u\"} {}", "\u{0}"]
    {
        let request = server.request(Method::POST, "/v1/rank");
        let request = request.header("content-type", "application/json").body(body);
        let found = problem(request.send().await.unwrap(), 400).await;
        assert_eq!(found["field"], "body", "{body:?}: {found}");
    }
    server.rank(&json!({"user_id": "u"})).await;
}

#[actix_web::test]
async fn other_content_types_and_encodings_are_refused() {
    let server = Server::start();
    for media_type in [Some("text/plain"), Some("application/x-protobuf"), None] {
        let mut request = server.request(Method::POST, "/v1/rank").body("{\"user_id\": \"u\"}");
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        let found = problem(request.send().await.unwrap(), 415).await;
        assert_eq!(found["field"], "content-type");
    }
    let request = server.request(Method::POST, "/v1/rank");
    let request = request.header("content-encoding", "gzip").json(&json!({"user_id": "u"}));
    let found = problem(request.send().await.unwrap(), 415).await;
    assert_eq!(found["field"], "content-encoding");

    let request = server.request(Method::POST, "/v1/rank").body("{\"user_id\": \"u\"}");
    let request = request.header("content-type", "application/json; charset=utf-8");
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[actix_web::test]
async fn a_body_of_50_mb_is_refused() {
    let server = Server::start();
    let request = server.request(Method::POST, "/v1/rank");
    let request =
        request.header("content-type", "application/json").body(vec![b' '; 50 * 1024 * 1024]);
    let found = problem(request.send().await.unwrap(), 413).await;
    assert_eq!(found["field"], "body");
    server.rank(&json!({"user_id": "u"})).await;
}

/// Only the head is sent; the answer must come without the body.
#[actix_web::test]
async fn a_body_with_too_large_a_content_length_is_not_read() {
    let server = Server::start();
    let address = server.address.strip_prefix("http://").unwrap().to_owned();
    let answer = actix_web::web::block(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
            .write_all(
                b"POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                  content-length: 52428800\r\n\r\n",
            )
            .unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        start
    })
    .await
    .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    server.rank(&json!({"user_id": "u"})).await;
}

/// Without a stated length the limit holds too.
#[actix_web::test]
async fn a_chunked_body_is_cut_off_at_the_limit() {
    let server = Server::start_with(|server, _| server.max_body_bytes = 2048);
    let address = server.address.strip_prefix("http://").unwrap().to_owned();
    let answer = actix_web::web::block(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
            .write_all(
                b"POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                  transfer-encoding: chunked\r\n\r\n",
            )
            .unwrap();
        let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
        for _ in 0..3 {
            stream.write_all(chunk.as_bytes()).unwrap();
        }
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        start
    })
    .await
    .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[actix_web::test]
async fn wrong_methods_and_paths_are_problems() {
    let server = Server::start();
    for (method, path, allow) in [
        (Method::GET, "/v1/rank", "POST"),
        (Method::DELETE, "/v1/events", "POST"),
        (Method::POST, "/v1/items/i1", "GET, HEAD, PUT, PATCH, DELETE"),
        (Method::POST, "/healthz", "GET, HEAD"),
    ] {
        let response = server.request(method, path).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allow);
        problem(response, 405).await;
    }
    for path in ["/v1/ranks", "/v1", "/v1/items/i1/images", "/docs/nothing.js"] {
        problem(server.get(path).await, 404).await;
    }
}

#[actix_web::test]
async fn an_id_in_a_path_is_checked() {
    let server = Server::start();
    let long = "x".repeat(257);
    let found = problem(server.get(&format!("/v1/items/{long}")).await, 400).await;
    assert_eq!(found["field"], "id");
    let found = problem(server.get("/v1/users/u1?clicks=many").await, 400).await;
    assert_eq!(found["field"], "clicks");
    // Decoded leniently, these would be the same id.
    for path in ["/v1/items/%ff", "/v1/items/%fe", "/v1/items/%C3/image", "/v1/users/a%ed%a0%80"] {
        let found = problem(server.get(path).await, 400).await;
        assert_eq!(found["field"], "path", "{path}");
        assert_eq!(server.request(Method::DELETE, path).send().await.unwrap().status(), 400);
    }
}
