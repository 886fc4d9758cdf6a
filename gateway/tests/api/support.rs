//! A gateway on a free port, and a client for it.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use actix_web::rt::task::JoinHandle;
use plugrank_access::{AccessOptions, Gate};
use plugrank_body::BodyMemory;
use plugrank_budget::BudgetOptions;
use plugrank_contract::{
    embedding::Invalidate,
    reranking::Rerank,
    retrieval::{ObserveEvents, RefreshItems, Retrieve, Similar},
    scoring::{CheckFeatures, ModelKind, Score},
};
use plugrank_gateway::{
    Clients, EventsOptions, ExperimentsOptions, ExposuresOptions, Gateway, GatewayParts,
    LiveOptions, LoadModel, ServerOptions, ServingModel, SurfaceParts, run,
};
use plugrank_runtime::{Health, Metrics, Shutdown};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::sync::watch;

use crate::{stages::Fake, store::MemoryStore};

/// What differs from the default server of a test.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) loader: Option<Arc<dyn LoadModel>>,
    pub(crate) events: EventsOptions,
    pub(crate) experiments: ExperimentsOptions,
    pub(crate) shadow_share: f64,
    pub(crate) surfaces: Vec<SurfaceParts>,
    pub(crate) access: AccessOptions,
    pub(crate) watch_models: Option<Duration>,
    /// Shared with another server.
    pub(crate) store: Arc<MemoryStore>,
}

pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) retrieve: Arc<Fake<Retrieve>>,
    pub(crate) similar: Arc<Fake<Similar>>,
    pub(crate) score: Arc<Fake<Score>>,
    pub(crate) check_features: Arc<Fake<CheckFeatures>>,
    pub(crate) rerank: Arc<Fake<Rerank>>,
    pub(crate) observe_events: Arc<Fake<ObserveEvents>>,
    pub(crate) refresh_items: Arc<Fake<RefreshItems>>,
    pub(crate) invalidate: Arc<Fake<Invalidate>>,
    pub(crate) health: Health,
    /// Options to apply.
    pub(crate) live: watch::Sender<LiveOptions>,
    pub(crate) shutdown: Shutdown,
    pub(crate) task: JoinHandle<io::Result<()>>,
    client: reqwest::Client,
}

impl Server {
    /// Default settings, with a budget that a busy machine can keep.
    pub(crate) fn start() -> Self {
        Self::start_with(|_, _| {})
    }

    pub(crate) fn start_with(set: impl FnOnce(&mut ServerOptions, &mut BudgetOptions)) -> Self {
        Self::start_as(Setup::default(), set)
    }

    /// With models that may be loaded, or experiments.
    pub(crate) fn start_as(
        Setup { loader, events, experiments, shadow_share, surfaces, access, watch_models, store }: Setup,
        set: impl FnOnce(&mut ServerOptions, &mut BudgetOptions),
    ) -> Self {
        let (mut server, mut budget) = (ServerOptions::default(), BudgetOptions::default());
        server.workers = Some(1);
        budget.default_ms = 1000;
        set(&mut server, &mut budget);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (retrieve, score, rerank) = (Fake::new(), Fake::new(), Fake::new());
        let check_features = Fake::new();
        let similar = Fake::new();
        let (observe_events, refresh_items, invalidate) = (Fake::new(), Fake::new(), Fake::new());
        let (health, shutdown) = (Health::new(), Shutdown::manual());
        let options =
            LiveOptions { budget, candidate_limit: 300, experiments, max_loaded: 2, shadow_share };
        let (live, reloads) = watch::channel(options.clone());
        let gateway = Gateway::new(GatewayParts {
            serving: ServingModel {
                version: "m1".to_owned(),
                folder: None,
                clients: Clients {
                    retrieve: retrieve.clone(),
                    similar: similar.clone(),
                    score: score.clone(),
                    check_features: check_features.clone(),
                    rerank: rerank.clone(),
                    observe_events: observe_events.clone(),
                    refresh_items: refresh_items.clone(),
                    invalidate: invalidate.clone(),
                },
                items: None,
                facts_for: 0,
                metrics: Metrics::of_part(),
                health: Health::new(),
                on_active: None,
                keep: Arc::new(()),
            },
            loader,
            watch_models,
            store: store.clone(),
            bodies: BodyMemory::new(server.body_memory()),
            server,
            tls: None,
            gate: Gate::new(&access).unwrap(),
            access,
            events,
            exposures: ExposuresOptions::default(),
            rule_inputs: Arc::default(),
            surfaces,
            live: options,
            reloads: Some(reloads),
            kind: ModelKind::Unified,
            metrics: Metrics::new(),
            health: health.clone(),
            open_inference: None,
        });
        let task = actix_web::rt::spawn(run(listener, gateway, shutdown.clone()));
        Self {
            address,
            store,
            retrieve,
            similar,
            score,
            check_features,
            rerank,
            observe_events,
            refresh_items,
            invalidate,
            health,
            live,
            shutdown,
            task,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Response {
        self.request(Method::PUT, path).json(body).send().await.unwrap()
    }

    /// A ranking that is expected to succeed.
    pub(crate) async fn rank(&self, body: &Value) -> Value {
        let response = self.post("/v1/rank", body).await;
        let status = response.status();
        let reply: Value = response.json().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{reply}");
        reply
    }

    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").await.text().await.unwrap()
    }
}

/// Checks that an answer is a whole problem document of `status`, and gives it.
pub(crate) async fn problem(response: Response, status: u16) -> Value {
    let found = response.status();
    let header = |name: &str| {
        let value = response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        value.unwrap_or_default()
    };
    let (media_type, request_id) = (header("content-type"), header("x-request-id"));
    let problem: Value = response.json().await.unwrap();
    assert_eq!(found.as_u16(), status, "{problem}");
    assert_eq!(media_type, "application/problem+json", "{problem}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["instance"], format!("urn:uuid:{request_id}"));
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    problem
}

/// Waits until `done`, at most ten seconds.
pub(crate) async fn wait_until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: not within ten seconds");
}
