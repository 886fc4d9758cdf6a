//! `POST /v1/events` and what it does to users and items.

use std::sync::atomic::Ordering;

use plugrank_contract::{ErrorCode, EventType};
use plugrank_gateway::{EventsOptions, UnknownItems};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    stages::Act,
    support::{Server, Setup, problem},
};

/// A time in the past.
const NOON: i64 = 1_700_000_000_000;

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
    let results = reply["results"].as_array().unwrap();
    let count = |status: &str| results.iter().filter(|result| result["status"] == status).count();
    (count("accepted").into(), count("repeat").into())
}

#[actix_web::test]
async fn events_are_stored_once_and_forwarded_to_retrieval() {
    let server = Server::start();
    let mut first = event("e1", "impression", Some(NOON));
    first["request_id"] = "r1".into();
    first["position"] = 4.into();
    let batch = json!([first, event("e2", "click", Some(NOON + 1000))]);
    assert_eq!(accepted(&server, batch).await, (2.into(), 0.into()));
    let again = json!([event("e2", "click", Some(NOON + 1000)), event("e3", "click", None)]);
    assert_eq!(accepted(&server, again).await, (1.into(), 1.into()));

    let stored = server.store.events.lock().clone();
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[0].event_type, EventType::impression());
    assert_eq!((stored[0].request_id.as_deref(), stored[0].position), (Some("r1"), Some(4)));
    assert!(stored[2].timestamp > 1_600_000_000_000, "now is the default");
    let told: Vec<String> = server
        .observe_events
        .calls()
        .into_iter()
        .flat_map(|(_, call)| call.events)
        .map(|event| event.event_id)
        .collect();
    assert_eq!(told, ["e1", "e2", "e3"], "only new events are forwarded");

    let user: Value = server.get("/v1/users/u1?before=1700000001001").await.json().await.unwrap();
    assert_eq!(
        user["history"],
        json!([
            {"item_id": "i1", "clicked": true, "timestamp": NOON + 1000, "action": "click"},
            {"item_id": "i1", "clicked": false, "timestamp": NOON, "action": "impression"},
        ])
    );
    problem(server.get("/v1/users/nobody").await, 404).await;
}

#[actix_web::test]
async fn events_are_accepted_while_retrieval_is_unavailable() {
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
async fn events_are_refused_while_the_store_is_unavailable() {
    let server = Server::start();
    server.store.gone.store(true, Ordering::Relaxed);
    let batch = json!({"events": [event("e1", "click", None)]});
    problem(server.post("/v1/events", &batch).await, 503).await;
    assert!(server.observe_events.calls().is_empty());
}

#[actix_web::test]
async fn a_batch_without_a_valid_event_is_refused_with_each_problem() {
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
        (json!([event("e2", "purchase", None)]), "events[0].type"),
        (json!([number]), "events[0].item_id"),
        (json!([unknown]), "events[0].dwell_ms"),
        (json!([nobody]), "events[0].user_id"),
        (json!([far]), "events[0].timestamp"),
        (json!([{"event_id": "e"}]), "events[0].type"),
        (json!([["e"]]), "events[0]"),
        (json!([7]), "events[0]"),
        (json!([]), "events"),
        (json!(vec![ok.clone(); 1001]), "events"),
    ] {
        let found = problem(server.post("/v1/events", &json!({"events": events})).await, 400).await;
        assert_eq!(found["field"], field, "{found}");
    }
    let found = server.post("/v1/events", &json!({"events": [number, nobody]})).await;
    let found = problem(found, 400).await;
    assert_eq!(found["results"][1]["problem"]["errors"][0]["pointer"], "/events/1/user_id");
    assert!(server.store.events.lock().is_empty());
    for body in [json!({"event": []}), json!({"events": 7}), json!({"events": [], "x": 1})] {
        problem(server.post("/v1/events", &body).await, 400).await;
    }
}

#[actix_web::test]
async fn valid_events_of_a_batch_are_stored_and_invalid_ones_named() {
    let server = Server::start();
    let mut wrong = event("e2", "click", None);
    wrong["position"] = 0.into();
    let batch = json!([
        event("e1", "click", None),
        wrong,
        {"event_id": 7},
        event("e1", "click", None),
        event("e3", "bought", None),
        event("e4", "impression", None),
    ]);
    let response = server.post("/v1/events", &json!({"events": batch})).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let reply: Value = response.json().await.unwrap();
    let results = reply["results"].as_array().unwrap();
    let told: Vec<(&Value, &Value)> =
        results.iter().map(|result| (&result["event_id"], &result["status"])).collect();
    let expected = [
        ("e1".into(), "accepted"),
        ("e2".into(), "refused"),
        (Value::Null, "refused"),
        ("e1".into(), "repeat"),
        ("e3".into(), "refused"),
        ("e4".into(), "accepted"),
    ];
    for (told, (id, status)) in told.iter().zip(&expected) {
        assert_eq!((told.0, told.1.as_str()), (id, Some(*status)), "{reply}");
    }
    let pointer = |at: usize| results[at]["problem"]["errors"][0]["pointer"].as_str();
    assert_eq!(pointer(1), Some("/events/1/position"), "{reply}");
    assert_eq!(pointer(2), Some("/events/2/event_id"), "{reply}");
    assert_eq!(pointer(4), Some("/events/4/type"), "{reply}");
    assert!(results[4]["problem"]["detail"].as_str().unwrap().contains("click, impression"));
    assert!(results[0].get("problem").is_none());
    let page = server.metrics().await;
    for line in [
        "plugrank_events_total{result=\"accepted\"} 2",
        "plugrank_events_total{result=\"repeat\"} 1",
        "plugrank_events_total{result=\"refused\"} 3",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
}

#[actix_web::test]
async fn event_types_come_from_the_settings() {
    let events: EventsOptions =
        serde_json::from_value(json!({"types": {"purchase": {"weight": 4.0}}})).unwrap();
    let server = Server::start_as(Setup { events, ..Setup::default() }, |_, _| {});
    let mut bought = event("e1", "purchase", None);
    bought["value"] = 12.5.into();
    bought["surface"] = "cart".into();
    assert_eq!(accepted(&server, json!([bought])).await, (1.into(), 0.into()));
    let stored = server.store.events.lock().clone();
    assert_eq!(&*stored[0].event_type.name, "purchase");
    assert_eq!((stored[0].event_type.weight, stored[0].value), (4.0, Some(12.5)));
    assert_eq!(stored[0].surface.as_deref(), Some("cart"));
}

#[actix_web::test]
async fn events_of_unknown_items_are_refused_where_the_settings_say_so() {
    let refusing =
        EventsOptions { unknown_items: UnknownItems::Refuse, ..EventsOptions::default() };
    let server = Server::start_as(Setup { events: refusing, ..Setup::default() }, |_, _| {});
    server.put("/v1/items/i1", &json!({"title": "Lamp"})).await;
    let mut other = event("e2", "click", None);
    other["item_id"] = "nowhere".into();
    let batch = json!({"events": [event("e1", "click", None), other]});
    let reply: Value = server.post("/v1/events", &batch).await.json().await.unwrap();
    assert_eq!(reply["results"][0]["status"], "accepted", "{reply}");
    assert_eq!(reply["results"][1]["status"], "refused", "{reply}");
    let error = &reply["results"][1]["problem"]["errors"][0];
    assert_eq!(error["pointer"], "/events/1/item_id");
    assert!(server.metrics().await.contains("plugrank_events_unknown_items_total 1"));
}

#[actix_web::test]
async fn an_event_slightly_in_the_future_counts_as_now() {
    let server = Server::start();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ahead = now().as_millis() as i64 + 60_000;
    let batch = json!([event("e1", "click", Some(ahead))]);
    assert_eq!(accepted(&server, batch).await, (1.into(), 0.into()));
    let stored = server.store.events.lock()[0].timestamp;
    assert!(stored <= now().as_millis() as i64, "{stored}");
}

#[actix_web::test]
async fn a_served_list_is_logged_as_it_was_answered() {
    let server = Server::start();
    let body = json!({
        "user_id": "u1", "k": 2, "candidates": [
            {"item_id": "i1", "features": {"bid": 2.5}}, "i2", "i3",
        ],
        "context": {"features": {"hour": 12}},
    });
    let reply = server.rank(&body).await;
    // A graceful stop writes what is queued.
    server.shutdown.request();
    server.task.await.unwrap().unwrap();
    let logged = server.store.exposures.lock().clone();
    let [exposure] = &logged[..] else { panic!("{logged:?}") };
    assert_eq!(reply["request_id"], exposure.request_id.as_str());
    assert_eq!((exposure.user_id.as_str(), exposure.rung.as_str()), ("u1", "full"));
    assert_eq!(exposure.features["hour"], 12.into());
    let shown = reply["items"].as_array().unwrap();
    assert_eq!(exposure.items.len(), shown.len());
    for (item, shown) in exposure.items.iter().zip(shown) {
        assert_eq!(shown["item_id"], item.item_id.as_str());
        assert_eq!(shown["ctr"].as_f64().map(|ctr| ctr as f32), item.ctr);
        assert_eq!(shown["score"].as_f64().map(|score| score as f32), item.score);
        assert_eq!(item.features.contains_key("bid"), item.item_id.as_str() == "i1");
    }
}
