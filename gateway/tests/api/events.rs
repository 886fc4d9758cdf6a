//! `POST /v1/events` and what it does to users and items.

use std::sync::atomic::Ordering;

use plugrank_contract::{ErrorCode, EventType};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    stages::Act,
    support::{Server, problem},
};

fn event(id: &str, kind: &str, timestamp: Option<i64>) -> Value {
    let mut event = json!({"event_id": id, "type": kind, "user_id": "u1", "item_id": "i1"});
    if let Some(timestamp) = timestamp {
        event["timestamp"] = timestamp.into();
    }
    event
}

async fn accepted(server: &Server, events: Value) -> (Value, Value) {
    let response = server.post("/v1/events", &json!({"events": events})).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let reply: Value = response.json().await.unwrap();
    (reply["accepted"].clone(), reply["duplicates"].clone())
}

#[actix_web::test]
async fn events_are_stored_once_and_retrieval_is_told() {
    let server = Server::start();
    let mut first = event("e1", "impression", Some(1000));
    first["request_id"] = "r1".into();
    first["position"] = 4.into();
    let batch = json!([first, event("e2", "click", Some(2000))]);
    assert_eq!(accepted(&server, batch).await, (2.into(), 0.into()));
    let again = json!([event("e2", "click", Some(2000)), event("e3", "click", None)]);
    assert_eq!(accepted(&server, again).await, (1.into(), 1.into()));

    let stored = server.store.events.lock().unwrap().clone();
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[0].event_type, EventType::Impression);
    assert_eq!((stored[0].request_id.as_deref(), stored[0].position), (Some("r1"), Some(4)));
    assert!(stored[2].timestamp > 1_600_000_000_000, "now is the default");
    let told: Vec<String> = server
        .observe_events
        .calls()
        .into_iter()
        .flat_map(|(_, call)| call.events)
        .map(|event| event.event_id)
        .collect();
    assert_eq!(told, ["e1", "e2", "e3"], "only new events are told");

    let user: Value = server.get("/v1/users/u1?before=2001").await.json().await.unwrap();
    assert_eq!(
        user["history"],
        json!([
            {"item_id": "i1", "clicked": true, "timestamp": 2000},
            {"item_id": "i1", "clicked": false, "timestamp": 1000},
        ])
    );
    problem(server.get("/v1/users/nobody").await, 404).await;
}

#[actix_web::test]
async fn retrieval_that_cannot_be_told_is_not_the_callers_problem() {
    let server = Server::start();
    server.observe_events.next(Act::Fail(ErrorCode::Unavailable));
    server.observe_events.next(Act::Hang);
    for id in ["e1", "e2"] {
        let batch = json!([event(id, "click", None)]);
        assert_eq!(accepted(&server, batch).await, (1.into(), 0.into()));
    }
    let page = server.metrics().await;
    let line = "plugrank_failed_notices_total{notice=\"observe_events\"} 2";
    assert!(page.contains(line), "{page}");
}

#[actix_web::test]
async fn nothing_is_accepted_that_is_not_durable() {
    let server = Server::start();
    server.store.gone.store(true, Ordering::Relaxed);
    let batch = json!({"events": [event("e1", "click", None)]});
    problem(server.post("/v1/events", &batch).await, 503).await;
    assert!(server.observe_events.calls().is_empty());
}

#[actix_web::test]
async fn wrong_events_are_named_and_nothing_is_stored() {
    let server = Server::start();
    let ok = event("e1", "click", None);
    let mut number = ok.clone();
    number["item_id"] = 5.into();
    let mut unknown = ok.clone();
    unknown["dwell_ms"] = 5.into();
    let mut nobody = ok.clone();
    nobody["user_id"] = "".into();
    let far = event("e1", "click", Some(i64::MAX));
    for (events, field) in [
        (json!([ok, event("e2", "purchase", None)]), "events[1].type"),
        (json!([number]), "events[0].item_id"),
        (json!([ok, unknown]), "events[1].dwell_ms"),
        (json!([ok, nobody]), "events[1].user_id"),
        (json!([far]), "events[0].timestamp"),
        (json!([{"event_id": "e"}]), "events[0].type"),
        (json!([]), "events"),
        (json!(vec![ok.clone(); 1001]), "events"),
    ] {
        let found = problem(server.post("/v1/events", &json!({"events": events})).await, 400).await;
        assert_eq!(found["field"], field, "{found}");
    }
    assert!(server.store.events.lock().unwrap().is_empty());
}
