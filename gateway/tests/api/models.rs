//! Several models in one gateway: loading, activation, and withdrawal of one that fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use plugrank_contract::{
    ErrorCode,
    embedding::Invalidate,
    retrieval::{ObserveEvents, RefreshItems},
    scoring::Score,
};
use plugrank_gateway::{
    BundleFolder, Clients, LoadModel, ModelLoadProgress, OpenedModel, ProgressReader, ServingModel,
};
use plugrank_runtime::{Health, Metrics};
use plugrank_store::Store;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{
    stages::{Act, Fake},
    support::{Server, Setup, problem, wait_until},
};

/// A model whose loading ends when the test says how.
struct Second {
    score: Arc<Fake<Score>>,
    observe_events: Arc<Fake<ObserveEvents>>,
    refresh_items: Arc<Fake<RefreshItems>>,
    invalidate: Arc<Fake<Invalidate>>,
    health: Health,
    loaded: Mutex<Option<oneshot::Receiver<Result<(), String>>>>,
    folders: Mutex<Vec<BundleFolder>>,
    /// How often `folders` was listed.
    listings: AtomicUsize,
    /// Folders that were opened.
    opened: Mutex<Vec<String>>,
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
            folders: Mutex::default(),
            listings: AtomicUsize::new(0),
            opened: Mutex::default(),
        };
        (Arc::new(second), tell)
    }

    fn listings(&self) -> usize {
        self.listings.load(Ordering::Relaxed)
    }
}

struct Loader(Arc<Second>);
struct Opened(Arc<Second>);

#[async_trait]
impl LoadModel for Loader {
    async fn open(&self, folder: Option<&str>) -> Result<Box<dyn OpenedModel>, String> {
        let name = folder.unwrap_or("the settings' bundle");
        self.0.opened.lock().push(name.to_owned());
        match name {
            "two" => Ok(Box::new(Opened(Arc::clone(&self.0)))),
            _ => Err(format!("there is no bundle {name}")),
        }
    }

    async fn folders(&self) -> Result<Vec<BundleFolder>, String> {
        self.0.listings.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.folders.lock().clone())
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
        let loaded = second.loaded.lock().take();
        loaded.unwrap().await.unwrap()?;
        Ok(ServingModel {
            version: "m2".to_owned(),
            folder: Some("two".to_owned()),
            clients: Clients {
                retrieve: Fake::new(),
                similar: Fake::new(),
                score: second.score.clone(),
                check_features: Fake::new(),
                rerank: Fake::new(),
                observe_events: second.observe_events.clone(),
                refresh_items: second.refresh_items.clone(),
                invalidate: second.invalidate.clone(),
            },
            items: None,
            facts_for: 0,
            metrics: Metrics::of_part(),
            health: second.health.clone(),
            on_active: None,
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
    wait_until("the second model is ready", async || {
        states(&server).await == pairs([("m1", "active"), ("m2", "ready")])
    })
    .await;
    (server, second)
}

async fn activate(server: &Server, version: &str) {
    let response = server.post(&format!("/v1/models/{version}/activate"), &json!({})).await;
    assert_eq!(response.status(), 200);
}

#[actix_web::test]
async fn a_model_is_loaded_activated_and_rolled_back() {
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
    wait_until("the second model is ready", async || {
        states(&server).await == pairs([("m1", "active"), ("m2", "ready")])
    })
    .await;
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
async fn invalid_model_names_are_refused_and_failed_loads_are_listed() {
    let (second, tell) = Second::new();
    let server = start(second);
    for name in ["", ".", "..", "a/b", "\\a", "none"] {
        let refused = server.post("/v1/models", &json!({"name": name})).await;
        assert_eq!(problem(refused, 400).await["field"], "name", "{name:?}");
    }
    server.post("/v1/models", &json!({"name": "two"})).await;
    tell.send(Err("it does not warm".to_owned())).unwrap();
    wait_until("the second model has failed", async || {
        states(&server).await == pairs([("m1", "active"), ("m2", "failed")])
    })
    .await;
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
async fn a_failing_new_model_is_withdrawn_without_failed_requests() {
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
        assert_eq!(second.score.calls().len(), 3, "it is not called again");
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
async fn every_ready_model_receives_events_and_item_changes() {
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

/// The value of a metric of the second model.
fn metric(page: &str, name: &str) -> Option<f64> {
    let start = format!("plugrank_{name}{{model=\"m2\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&start))?.parse().ok()
}

#[actix_web::test]
async fn a_shadow_model_ranks_without_delaying_requests() {
    let (second, tell) = Second::new();
    let loader = Some(Arc::new(Loader(Arc::clone(&second))) as _);
    let setup = Setup { loader, shadow_share: 1.0, ..Setup::default() };
    let server = Server::start_as(setup, |_, _| {});
    server.post("/v1/models", &json!({"name": "two"})).await;
    tell.send(Ok(())).unwrap();
    wait_until("the second model is ready", async || {
        states(&server).await == pairs([("m1", "active"), ("m2", "ready")])
    })
    .await;
    let seen = |page: String| metric(&page, "shadow_ranked_total");
    server.rank(&json!({"user_id": "u", "k": 5})).await;
    wait_until("the shadow model has ranked once", async || {
        seen(server.metrics().await) == Some(1.0)
    })
    .await;
    let page = server.metrics().await;
    for (name, value) in [
        ("shadow_overlap_sum", 1.0),
        ("shadow_rank_correlation_sum", 1.0),
        ("shadow_ctr_difference_sum", 0.0),
        ("shadow_ctr_difference_count", 5.0),
        ("shadow_seconds_count", 1.0),
        ("shadow_missing_share_count", 1.0),
        // The fake stage has no record for one of its 40 rows.
        ("shadow_missing_share_sum", 0.025),
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
    wait_until("the shadow model has ranked twice", async || {
        seen(server.metrics().await) == Some(2.0)
    })
    .await;
    second.score.next(Act::Fail(ErrorCode::Internal));
    server.rank(&json!({"user_id": "u"})).await;
    wait_until("the failure of the shadow model is counted", async || {
        metric(&server.metrics().await, "shadow_failed_total") == Some(1.0)
    })
    .await;
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

#[actix_web::test]
async fn a_write_does_not_depend_on_a_model_that_is_only_ready() {
    let item = json!({"title": "Lamp", "text": "", "categories": []});
    for act in [Act::Fail(ErrorCode::Internal), Act::Hang] {
        let (server, second) = with_second().await;
        second.refresh_items.next(act);
        assert_eq!(server.put("/v1/items/i1", &item).await.status(), 201);
        assert_eq!(server.refresh_items.calls().len(), 1);
        assert_eq!(second.refresh_items.calls().len(), 1);
        server.refresh_items.next(Act::Fail(ErrorCode::Internal));
        problem(server.put("/v1/items/i1", &item).await, 503).await;
    }
}

#[actix_web::test]
async fn a_failing_model_of_an_arm_is_withdrawn() {
    let (server, second) = with_second().await;
    let arms = json!([
        {"name": "old", "permille": 100},
        {"name": "new", "permille": 900, "settings": {"bundle": "m2"}},
    ]);
    let experiment = json!({"layer": "models", "control": "old", "arms": arms});
    assert_eq!(server.put("/v1/experiments/two", &experiment).await.status(), 200);
    let mut failed = 0;
    for user in 0..20 {
        second.score.next(Act::Fail(ErrorCode::Internal));
        let reply = server.rank(&json!({"user_id": format!("u{user}"), "k": 5})).await;
        assert_eq!(reply["degraded"], json!([]), "{reply}");
        assert_eq!(reply["items"].as_array().unwrap().len(), 5);
        failed = second.score.calls().len();
    }
    assert_eq!(failed, 3, "withdrawn within 20 requests");
    assert_eq!(server.score.calls().len(), 20, "each was answered by the active one");
    let list: Value = server.get("/v1/models").await.json().await.unwrap();
    assert_eq!(list["models"][1]["state"], "failed", "{list}");
    assert!(list["models"][1]["reason"].as_str().unwrap().contains("3 requests"), "{list}");
}

async fn kept(server: &Server) -> Value {
    let document = server.store.document("models").await.unwrap();
    document.map_or(Value::Null, |document| serde_json::from_slice(&document.bytes).unwrap())
}

#[actix_web::test]
async fn the_list_of_models_survives_a_restart() {
    let (server, _) = with_second().await;
    let one = json!({"version": "m1", "folder": null});
    let two = json!({"version": "m2", "folder": "two"});
    wait_until("both models are recorded", async || {
        kept(&server).await == json!({"active": one, "beside": [two]})
    })
    .await;
    activate(&server, "m2").await;
    assert_eq!(kept(&server).await, json!({"active": two, "beside": [one]}));
    server.store.gone.store(true, Ordering::Relaxed);
    let told = server.post("/v1/models/m1/activate", &json!({})).await;
    assert!(problem(told, 503).await["detail"].as_str().unwrap().contains("is active, but"));
    server.store.gone.store(false, Ordering::Relaxed);
    activate(&server, "m1").await;
    assert_eq!(kept(&server).await, json!({"active": one, "beside": [two]}));

    let (again, tell) = Second::new();
    tell.send(Ok(())).unwrap();
    let loader = Some(Arc::new(Loader(again)) as _);
    let setup = Setup { loader, store: Arc::clone(&server.store), ..Setup::default() };
    let restarted = Server::start_as(setup, |_, _| {});
    wait_until("the restarted gateway has both models", async || {
        states(&restarted).await == pairs([("m1", "active"), ("m2", "ready")])
    })
    .await;
}

#[actix_web::test]
async fn a_bundle_copied_into_the_folder_is_loaded() {
    let (second, tell) = Second::new();
    tell.send(Ok(())).unwrap();
    let loader = Some(Arc::new(Loader(Arc::clone(&second))) as _);
    let put = |names: &[(&str, u64)]| {
        let folder =
            |(name, mark): &(&str, u64)| BundleFolder { name: (*name).into(), mark: *mark };
        *second.folders.lock() = names.iter().map(folder).collect();
    };
    put(&[("two", 1)]);
    let watch_models = Some(Duration::from_millis(5));
    let server = Server::start_as(Setup { loader, watch_models, ..Setup::default() }, |_, _| {});
    let listings = second.listings();
    wait_until("the folder has been listed", async || second.listings() >= listings + 4).await;
    assert_eq!(states(&server).await, pairs([("m1", "active")]), "it was there at the start");
    put(&[("two", 2), ("broken", 1)]);
    wait_until("the new bundle is ready", async || {
        states(&server).await == pairs([("m1", "active"), ("m2", "ready")])
    })
    .await;
    let listings = second.listings();
    wait_until("the folder has been listed again", async || second.listings() >= listings + 4)
        .await;
    let mut opened = second.opened.lock().clone();
    opened.sort();
    assert_eq!(opened, ["broken", "two"], "each once");
}

#[actix_web::test]
async fn options_are_applied_without_a_restart() {
    let server = Server::start();
    let mut options = server.live.borrow().clone();
    assert_eq!(server.rank(&json!({"user_id": "u"})).await["budget"]["total_ms"], 1000.0);
    options.budget.default_ms = 700;
    options.budget.ladder.pin = Some("retrieval_order".parse().unwrap());
    options.candidate_limit = 25;
    options.experiments.forced_arms = true;
    server.live.send(options).unwrap();
    let body = json!({"user_id": "u"});
    wait_until("the options are applied", async || {
        server.rank(&body).await["budget"]["total_ms"] == 700.0
    })
    .await;
    let reply = server.rank(&body).await;
    assert_eq!(reply["rung"], "retrieval_order", "{reply}");
    let named = json!({"user_id": "u", "arms": {"none": "a"}});
    let detail = problem(server.post("/v1/rank", &named).await, 400).await["detail"].to_string();
    assert!(
        detail.contains("no experiment"),
        "forcing arms is allowed, but there is no experiment: {detail}"
    );
    let asked = server.retrieve.calls().last().unwrap().1.limit;
    assert_eq!(asked, 25);
}
