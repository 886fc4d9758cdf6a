//! What a gateway is made of.

use std::{sync::Arc, time::Duration};

use plugrank_body::BodyMemory;
use plugrank_budget::{Admission, BudgetOptions, OnOverload, Shares};
use plugrank_contract::{
    ItemIds,
    embedding::Invalidate,
    reranking::Rerank,
    retrieval::{ObserveEvents, RefreshItems, Retrieve},
    scoring::{ModelKind, Score},
};
use plugrank_runtime::{Health, Metrics};
use plugrank_store::Store;
use plugrank_transport::Client;

use crate::{
    OtherApi, ServerOptions,
    connections::Connections,
    controller::Controller,
    metrics::{self, GatewayMetrics},
};

/// The services a gateway calls, wherever they run.
#[derive(Clone)]
pub struct Clients {
    /// Candidates.
    pub retrieve: Client<Retrieve>,
    /// Click probabilities.
    pub score: Client<Score>,
    /// Final order.
    pub rerank: Client<Rerank>,
    /// Retrieval, told of stored events.
    pub observe_events: Client<ObserveEvents>,
    /// Retrieval, told of written items.
    pub refresh_items: Client<RefreshItems>,
    /// Embedding, told of changed items.
    pub invalidate: Client<Invalidate>,
}

/// What a [`Gateway`] is made from.
pub struct GatewayParts {
    /// The services it calls.
    pub clients: Clients,
    /// Items, users and events.
    pub store: Arc<dyn Store>,
    /// The item table of this process, where retrieval runs here too; ids are resolved in it.
    pub items: Option<Arc<dyn ItemIds>>,
    /// Candidates whose facts come with the scores, for a re-ranking role that cannot look them up; 0
    /// where it can.
    pub facts_for: u32,
    /// Address, limits of requests, drain times. `bind` is not read: the listener is given.
    pub server: ServerOptions,
    /// What the bodies of requests in flight may take, on all ports of the process.
    pub bodies: BodyMemory,
    /// Latency budgets.
    pub budget: BudgetOptions,
    /// Candidates asked of retrieval when the caller names none.
    pub candidate_limit: u32,
    /// Which model scores.
    pub model: ModelKind,
    /// Where the gateway registers its metrics, and what `/metrics` shows.
    pub metrics: Metrics,
    /// What `/readyz` asks.
    pub health: Health,
    /// The graphs that this process serves to callers of another protocol.
    pub open_inference: Option<OtherApi>,
}

/// Everything the routes need. Shared by all workers.
pub struct Gateway {
    pub(crate) clients: Clients,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) items: Option<Arc<dyn ItemIds>>,
    pub(crate) facts_for: u32,
    pub(crate) server: ServerOptions,
    pub(crate) bodies: BodyMemory,
    pub(crate) shares: Shares,
    pub(crate) controller: Arc<Controller>,
    pub(crate) admission: Admission,
    pub(crate) on_overload: OnOverload,
    pub(crate) fewer_candidates: u32,
    pub(crate) connections: Connections,
    pub(crate) default_budget: Duration,
    pub(crate) budget_ceiling_ms: u64,
    pub(crate) candidate_limit: u32,
    pub(crate) model: ModelKind,
    pub(crate) registry: Metrics,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) health: Health,
    pub(crate) open_inference: Option<OtherApi>,
}

impl Gateway {
    /// A gateway; registers its metrics, and the store as a readiness check.
    #[must_use]
    pub fn new(parts: GatewayParts) -> Self {
        let GatewayParts {
            clients,
            store,
            items,
            facts_for,
            server,
            bodies,
            budget,
            candidate_limit,
            model,
            metrics,
            health,
            open_inference,
        } = parts;
        let shares = budget.shares;
        let (gateway_metrics, ladder_metrics) = GatewayMetrics::register(&metrics);
        let default_budget = budget.default_budget();
        let controller = Controller::new(budget.ladder, shares, default_budget, ladder_metrics);
        let controller = Arc::new(controller);
        let admission = Admission::new(server.max_in_flight);
        metrics::watch(&metrics, &controller, &admission);
        let connections = Connections::new(server.max_connections);
        let pinged = Arc::clone(&store);
        health.probe("store", move || {
            let store = Arc::clone(&pinged);
            async move { store.ping().await.map_err(|error| error.to_string()) }
        });
        Self {
            clients,
            store,
            items,
            facts_for,
            server,
            bodies,
            shares,
            controller,
            admission,
            on_overload: budget.on_overload,
            fewer_candidates: budget.fewer_candidates,
            connections,
            default_budget,
            budget_ceiling_ms: budget.ceiling_ms,
            candidate_limit,
            model,
            metrics: gateway_metrics,
            registry: metrics,
            health,
            open_inference,
        }
    }
}

impl Gateway {
    /// Whether a path belongs to the other protocol.
    pub(crate) fn serves_other(&self, path: &str) -> bool {
        self.open_inference.as_ref().is_some_and(|api| api.has(path))
    }
}
