//! Probes, metrics, pages, and shutdown.

use std::{sync::atomic::Ordering, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    stages::Act,
    support::{Server, problem, wait_until},
};

#[actix_web::test]
async fn readiness_says_what_is_missing() {
    let server = Server::start();
    let model = server.health.flag("model", "warming up");
    let found = problem(server.get("/readyz").await, 503).await;
    assert_eq!(found["detail"], "model: warming up");
    assert_eq!(
        found["checks"][0],
        json!({"name": "model", "ready": false, "reason": "warming up"})
    );
    model.pass();
    let ready: Value = server.get("/readyz").await.json().await.unwrap();
    assert_eq!(ready["ready"], true);
    server.store.gone.store(true, Ordering::Relaxed);
    // Without the store answers are degraded: it stays ready, and reports the failed check.
    let response = server.get("/readyz").await;
    assert_eq!(response.status(), 200);
    let ready: Value = response.json().await.unwrap();
    assert_eq!((&ready["ready"], &ready["degraded"]), (&json!(true), &json!(true)));
    let checks = ready["checks"].as_array().unwrap();
    let store = checks.iter().find(|check| check["name"] == "store").unwrap();
    assert_eq!((&store["ready"], &store["advisory"]), (&json!(false), &json!(true)));
    assert_eq!(server.get("/healthz").await.status(), 200);
}

#[actix_web::test]
async fn metrics_are_labelled_by_route_and_not_by_path() {
    let server = Server::start();
    for id in ["a", "b", "c"] {
        server.get(&format!("/v1/items/{id}")).await;
        server.get(&format!("/nothing/{id}")).await;
    }
    let page = server.metrics().await;
    for line in [
        "plugrank_http_requests_total{method=\"GET\",route=\"/v1/items/{id}\",status=\"404\"} 3",
        "plugrank_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"} 3",
        "plugrank_http_request_duration_seconds_count{method=\"GET\",route=\"unmatched\"} 3",
    ] {
        assert!(page.contains(line), "{line} not in {page}");
    }
    assert!(page.contains("# TYPE plugrank_http_requests_total counter\n"), "the text format");
    let request = server.request(Method::GET, "/metrics");
    let response = request.header("accept", "application/openmetrics-text").send().await.unwrap();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), "{media_type}");
    assert!(response.text().await.unwrap().ends_with("# EOF\n"));
}

#[actix_web::test]
async fn pages_load_nothing_from_other_hosts() {
    let server = Server::start();
    let response = server.get("/").await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(response.headers().contains_key("content-security-policy"));
    let page = response.text().await.unwrap();
    assert!(page.contains("/playground/app.js"));
    let script = server.get("/playground/app.js").await;
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(server.get("/playground/other.js").await.status(), 404);
    assert!(!page.contains("http://") && !page.contains("https://"), "the page stands alone");

    let docs = server.get("/docs").await;
    assert_eq!(docs.url().path(), "/docs/", "a redirect is followed");
    let docs = docs.text().await.unwrap();
    assert!(docs.contains("swagger-ui") && !docs.contains("https://"), "{docs}");
    let setup = server.get("/docs/swagger-initializer.js").await.text().await.unwrap();
    assert!(setup.contains("/openapi.json"), "{setup}");
    let script = server.get("/docs/swagger-ui-bundle.js").await;
    assert_eq!(script.status(), 200);
    let document: Value = server.get("/openapi.json").await.json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
}

#[actix_web::test]
async fn head_is_answered_where_get_is() {
    let server = Server::start();
    for path in ["/", "/healthz", "/readyz", "/metrics", "/openapi.json"] {
        let response = server.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.bytes().await.unwrap().is_empty());
    }
}

#[actix_web::test]
async fn a_shutdown_waits_for_requests_in_flight() {
    let server = Server::start_with(|server, _| server.drain_delay_ms = 150);
    server.score.next(Act::Hang);
    let body = json!({"user_id": "u1", "budget_ms": 700});
    let slow = server.request(Method::POST, "/v1/rank").json(&body);
    let slow = actix_web::rt::spawn(async move { slow.send().await.unwrap() });
    wait_until("the request is in scoring", async || !server.score.calls().is_empty()).await;
    server.shutdown.request();
    let mut draining = false;
    for _ in 0..20 {
        draining |= server.get("/readyz").await.status() == 503;
        if draining {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(draining, "/readyz fails while requests are still accepted");
    let reply: Value = slow.await.unwrap().json().await.unwrap();
    assert_eq!(reply["degraded"][0]["cause"], "cut");
    let ended = tokio::time::timeout(Duration::from_secs(15), server.task).await;
    ended.unwrap().unwrap().unwrap();
}
