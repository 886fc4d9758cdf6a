//! Models side by side: loading, activation, the trial of a new one.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use plugrank_contract::{
    ErrorCode,
    embedding::Invalidate,
    retrieval::{ObserveEvents, RefreshItems},
    scoring::Score,
};
use plugrank_gateway::{
    Clients, LoadModel, ModelLoadProgress, OpenedModel, ProgressReader, ServingModel,
};
use plugrank_runtime::{Health, Metrics};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{
    stages::{Act, Fake},
    support::{Server, Setup, problem},
};

/// A model whose loading ends when the test says how.
struct Second {
    score: Arc<Fake<Score>>,
    observe_events: Arc<Fake<ObserveEvents>>,
    refresh_items: Arc<Fake<RefreshItems>>,
    invalidate: Arc<Fake<Invalidate>>,
    health: Health,
    loaded: Mutex<Option<oneshot::Receiver<Result<(), String>>>>,
}

impl Second {
    fn new() -> (Arc<Self>, oneshot::Sender<Result<(), String>>) {
        let (tell, told) = oneshot::channel();
        let second = Self {
            score: Fake::new(),
            observe_events: Fake::new(),
            refresh_items: Fake::new(),
            invalidate: Fake::new(),
            health: Health::new(),
            loaded: Mutex::new(Some(told)),
        };
        (Arc::new(second), tell)
    }
}

struct Loader(Arc<Second>);
struct Opened(Arc<Second>);

#[async_trait]
impl LoadModel for Loader {
    async fn open(&self, name: &str) -> Result<Box<dyn OpenedModel>, String> {
        match name {
            "two" => Ok(Box::new(Opened(Arc::clone(&self.0)))),
            _ => Err(format!("there is no bundle {name}")),
        }
    }
}

#[async_trait]
impl OpenedModel for Opened {
    fn version(&self) -> &str {
        "m2"
    }

    fn progress(&self) -> ProgressReader {
        Arc::new(|| ModelLoadProgress { phase: "encoding".to_owned(), done: 3, of: 40 })
    }

    async fn start(self: Box<Self>) -> Result<ServingModel, String> {
        let second = self.0;
        let loaded = second.loaded.lock().unwrap().take();
        loaded.unwrap().await.unwrap()?;
        Ok(ServingModel {
            version: "m2".to_owned(),
            clients: Clients {
                retrieve: Fake::new(),
                similar: Fake::new(),
                score: second.score.clone(),
                rerank: Fake::new(),
                observe_events: second.observe_events.clone(),
                refresh_items: second.refresh_items.clone(),
                invalidate: second.invalidate.clone(),
            },
            items: None,
            facts_for: 0,
            metrics: Metrics::of_part(),
            health: second.health.clone(),
            keep: Arc::new(()),
        })
    }
}

fn start(second: Arc<Second>) -> Server {
    let loader = Some(Arc::new(Loader(second)) as _);
    Server::start_as(Setup { loader, ..Setup::default() }, |_, _| {})
}

async fn states(server: &Server) -> Vec<(String, String)> {
    let list: Value = server.get("/v1/models").await.json().await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let models = list["models"].as_array().unwrap();
    let states: Vec<_> =
        models.iter().map(|model| (text(&model["version"]), text(&model["state"]))).collect();
    assert_eq!(states[0], (text(&list["active"]), "active".to_owned()), "{list}");
    states
}

fn pairs<const N: usize>(states: [(&str, &str); N]) -> Vec<(String, String)> {
    states.map(|(version, state)| (version.to_owned(), state.to_owned())).into()
}

/// A server with a second model that is ready.
async fn with_second() -> (Server, Arc<Second>) {
    let (second, tell) = Second::new();
    let server = start(Arc::clone(&second));
    let response = server.post("/v1/models", &json!({"name": "two"})).await;
    assert_eq!(response.status(), 202);
    tell.send(Ok(())).unwrap();
    for _ in 0..500 {
        if states(&server).await == pairs([("m1", "active"), ("m2", "ready")]) {
            return (server, second);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the model was never ready: {:?}", states(&server).await);
}

async fn activate(server: &Server, version: &str) {
    let response = server.post(&format!("/v1/models/{version}/activate"), &json!({})).await;
    assert_eq!(response.status(), 200);
}

#[actix_web::test]
async fn a_model_is_loaded_activated_and_left_again() {
    let (second, tell) = Second::new();
    let server = start(Arc::clone(&second));
    let response = server.post("/v1/models", &json!({"name": "two"})).await;
    assert_eq!(response.status(), 202);
    let list: Value = response.json().await.unwrap();
    let progress = json!({"phase": "encoding", "done": 3, "of": 40});
    assert_eq!(list["models"][1]["progress"], progress, "{list}");
    let early = server.post("/v1/models/m2/activate", &json!({})).await;
    assert!(problem(early, 409).await["detail"].as_str().unwrap().contains("loading"));
    problem(server.post("/v1/models", &json!({"name": "two"})).await, 409).await;
    tell.send(Ok(())).unwrap();
    while states(&server).await != pairs([("m1", "active"), ("m2", "ready")]) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.rank(&json!({"user_id": "u"})).await;
    assert_eq!((server.score.calls().len(), second.score.calls().len()), (1, 0));
    activate(&server, "m2").await;
    server.rank(&json!({"user_id": "u"})).await;
    assert_eq!((server.score.calls().len(), second.score.calls().len()), (1, 1));
    let active = server.delete("/v1/models/m2").await;
    assert!(problem(active, 409).await["detail"].as_str().unwrap().contains("active"));
    activate(&server, "m1").await;
    server.rank(&json!({"user_id": "u"})).await;
    assert_eq!((server.score.calls().len(), second.score.calls().len()), (2, 1));
    assert_eq!(server.delete("/v1/models/m2").await.status(), 204);
    assert_eq!(states(&server).await, pairs([("m1", "active")]));
    problem(server.delete("/v1/models/m2").await, 404).await;
    problem(server.post("/v1/models/m2/activate", &json!({})).await, 404).await;
}

#[actix_web::test]
async fn what_cannot_be_loaded_is_refused_or_has_failed() {
    let (second, tell) = Second::new();
    let server = start(second);
    for name in ["", ".", "..", "a/b", "\\a", "none"] {
        let refused = server.post("/v1/models", &json!({"name": name})).await;
        assert_eq!(problem(refused, 400).await["field"], "name", "{name:?}");
    }
    server.post("/v1/models", &json!({"name": "two"})).await;
    tell.send(Err("it does not warm".to_owned())).unwrap();
    while states(&server).await != pairs([("m1", "active"), ("m2", "failed")]) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let refused = server.post("/v1/models/m2/activate", &json!({})).await;
    let detail = problem(refused, 409).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("it does not warm"), "{detail}");
    assert_eq!(server.delete("/v1/models/m2").await.status(), 204);
    let server = Server::start();
    let refused = server.post("/v1/models", &json!({"name": "two"})).await;
    let detail = problem(refused, 409).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("models.folder"), "{detail}");
}

#[actix_web::test]
async fn a_new_model_that_cannot_answer_is_withdrawn_and_nobody_notices() {
    for act in [Act::Fail(ErrorCode::Internal), Act::Misbehave] {
        let (server, second) = with_second().await;
        activate(&server, "m2").await;
        for request in 0..3 {
            second.score.next(act.clone());
            let reply = server.rank(&json!({"user_id": "u", "k": 5})).await;
            assert_eq!(reply["degraded"], json!([]), "request {request}: {reply}");
            assert_eq!(reply["items"].as_array().unwrap().len(), 5);
        }
        assert_eq!((server.score.calls().len(), second.score.calls().len()), (3, 3));
        assert_eq!(states(&server).await, pairs([("m1", "active"), ("m2", "failed")]));
        server.rank(&json!({"user_id": "u"})).await;
        assert_eq!(second.score.calls().len(), 3, "it is asked no more");
    }
}

#[actix_web::test]
async fn a_late_or_busy_answer_does_not_withdraw_a_model() {
    let (server, second) = with_second().await;
    activate(&server, "m2").await;
    for code in [ErrorCode::Overloaded, ErrorCode::DeadlineExceeded].repeat(3) {
        second.score.next(Act::Fail(code));
        server.rank(&json!({"user_id": "u"})).await;
    }
    assert_eq!(states(&server).await, pairs([("m2", "active"), ("m1", "ready")]));
    assert_eq!(server.score.calls().len(), 0);
}

#[actix_web::test]
async fn every_ready_model_hears_of_events_and_items() {
    let (server, second) = with_second().await;
    let item = json!({"title": "Lamp", "text": "", "categories": []});
    assert_eq!(server.put("/v1/items/i1", &item).await.status(), 201);
    let event = json!({"event_id": "e", "type": "click", "user_id": "u", "item_id": "i1"});
    server.post("/v1/events", &json!({"events": [event]})).await;
    assert_eq!(server.refresh_items.calls().len(), 1);
    assert_eq!(second.refresh_items.calls().len(), 1);
    assert_eq!(second.invalidate.calls().len(), 1);
    assert_eq!((server.observe_events.calls().len(), second.observe_events.calls().len()), (1, 1));
}

#[actix_web::test]
async fn an_arm_names_its_model() {
    let (server, second) = with_second().await;
    let arms = json!([{"name": "old", "weight": 1}, {"name": "new", "weight": 1, "settings": {"bundle": "m2"}}]);
    let experiment = json!({"layer": "models", "control": "old", "arms": arms});
    assert_eq!(server.put("/v1/experiments/two", &experiment).await.status(), 200);
    for user in 0..40 {
        let before = second.score.calls().len();
        let reply = server.rank(&json!({"user_id": format!("u{user}")})).await;
        let asked = second.score.calls().len() - before;
        assert_eq!(asked == 1, reply["experiments"]["models"] == "new", "{reply}");
    }
    assert!((5..35).contains(&second.score.calls().len()));
    assert_eq!(server.delete("/v1/models/m2").await.status(), 204);
    for user in 0..40 {
        server.rank(&json!({"user_id": format!("u{user}")})).await;
    }
    let page = server.metrics().await;
    let counted = page.lines().find(|line| line.starts_with("plugrank_arms_without_model_total"));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{page}");
}

/// What a metric says of the second model.
fn metric(page: &str, name: &str) -> Option<f64> {
    let start = format!("plugrank_{name}{{model=\"m2\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&start))?.parse().ok()
}

#[actix_web::test]
async fn a_model_in_the_shadow_ranks_too_and_nobody_waits_for_it() {
    let (second, tell) = Second::new();
    let loader = Some(Arc::new(Loader(Arc::clone(&second))) as _);
    let setup = Setup { loader, shadow_share: 1.0, ..Setup::default() };
    let server = Server::start_as(setup, |_, _| {});
    server.post("/v1/models", &json!({"name": "two"})).await;
    tell.send(Ok(())).unwrap();
    while states(&server).await != pairs([("m1", "active"), ("m2", "ready")]) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let seen = |page: String| metric(&page, "shadow_ranked_total");
    server.rank(&json!({"user_id": "u", "k": 5})).await;
    while seen(server.metrics().await) != Some(1.0) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let page = server.metrics().await;
    for (name, value) in [
        ("shadow_overlap_sum", 1.0),
        ("shadow_rank_correlation_sum", 1.0),
        ("shadow_ctr_difference_sum", 0.0),
        ("shadow_ctr_difference_count", 5.0),
        ("shadow_seconds_count", 1.0),
    ] {
        assert_eq!(metric(&page, name), Some(value), "{name}: {page}");
    }
    second.score.next(Act::Hang);
    for _ in 0..3 {
        let reply = server.rank(&json!({"user_id": "u", "k": 5, "budget_ms": 300})).await;
        assert_eq!(reply["rung"], "full", "{reply}");
    }
    let page = server.metrics().await;
    assert_eq!(metric(&page, "shadow_skipped_total"), Some(2.0), "one hangs: {page}");
    while seen(server.metrics().await) != Some(2.0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    second.score.next(Act::Fail(ErrorCode::Internal));
    server.rank(&json!({"user_id": "u"})).await;
    while metric(&server.metrics().await, "shadow_failed_total") != Some(1.0) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(states(&server).await, pairs([("m1", "active"), ("m2", "ready")]));
}

#[actix_web::test]
async fn readiness_is_that_of_the_active_model() {
    let (server, second) = with_second().await;
    let _flag = second.health.flag("scoring-workers", "a worker thread is gone");
    assert_eq!(server.get("/readyz").await.status(), 200);
    activate(&server, "m2").await;
    assert_eq!(server.get("/readyz").await.status(), 503);
    activate(&server, "m1").await;
    assert_eq!(server.get("/readyz").await.status(), 200);
}
