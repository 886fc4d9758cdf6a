//! What a gateway is made of.

use std::{sync::Arc, time::Duration};

use plugrank_budget::{Shares, SharesError};
use plugrank_contract::{
    embedding::Invalidate,
    reranking::Rerank,
    retrieval::{ObserveEvents, RefreshItems, Retrieve},
    scoring::{ModelKind, Score},
};
use plugrank_runtime::{
    Health, Metrics,
    settings::{BudgetSettings, ServerSettings},
};
use plugrank_store::Store;
use plugrank_transport::Client;

use crate::metrics::GatewayMetrics;

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
    /// Address, limits of requests, drain times. `bind` is not read: the listener is given.
    pub server: ServerSettings,
    /// Latency budgets.
    pub budget: BudgetSettings,
    /// Candidates asked of retrieval when the caller names none.
    pub candidate_limit: u32,
    /// Which model scores.
    pub model: ModelKind,
    /// Where the gateway registers its metrics, and what `/metrics` shows.
    pub metrics: Metrics,
    /// What `/readyz` asks.
    pub health: Health,
}

/// Everything the routes need. Shared by all workers.
pub struct Gateway {
    pub(crate) clients: Clients,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) server: ServerSettings,
    pub(crate) shares: Shares,
    pub(crate) default_budget: Duration,
    pub(crate) budget_ceiling_ms: u64,
    pub(crate) candidate_limit: u32,
    pub(crate) model: ModelKind,
    pub(crate) registry: Metrics,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) health: Health,
}

impl Gateway {
    /// A gateway; registers its metrics, and the store as a readiness check.
    ///
    /// # Errors
    /// When the budget's shares cannot divide a budget.
    pub fn new(parts: GatewayParts) -> Result<Self, SharesError> {
        let GatewayParts {
            clients,
            store,
            server,
            budget,
            candidate_limit,
            model,
            metrics,
            health,
        } = parts;
        let split = budget.shares;
        let shares = Shares::new(split.retrieval, split.scoring, split.reranking)?;
        let pinged = Arc::clone(&store);
        health.probe("store", move || {
            let store = Arc::clone(&pinged);
            async move { store.ping().await.map_err(|error| error.to_string()) }
        });
        Ok(Self {
            clients,
            store,
            server,
            shares,
            default_budget: budget.default_budget(),
            budget_ceiling_ms: budget.ceiling_ms,
            candidate_limit,
            model,
            metrics: GatewayMetrics::register(&metrics),
            registry: metrics,
            health,
        })
    }
}
