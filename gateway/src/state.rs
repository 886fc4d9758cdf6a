//! What a gateway is made of.

use std::{sync::Arc, time::Duration};

use plugrank_body::BodyMemory;
use plugrank_budget::{Admission, BudgetOptions, OnOverload, Shares};
use plugrank_contract::{
    retrieval::SurfaceName,
    scoring::{ModelKind, RuleInputs},
};
use plugrank_runtime::{Health, Metrics};
use plugrank_store::Store;

use crate::{
    LoadModel, OtherApi, ServerOptions, ServingModel,
    connections::Connections,
    controller::Controller,
    events::{Checks, EventsOptions, UnknownItems},
    experiments::{Arms, Experiments, ExperimentsOptions},
    exposures::{ExposureLog, ExposuresOptions},
    metrics::{self, GatewayMetrics},
    models::{Models, shadow::Shadow},
    surface::{SurfaceParts, Surfaces},
};

/// What a [`Gateway`] is made from.
pub struct GatewayParts {
    /// The model it begins with.
    pub serving: ServingModel,
    /// Loads further models; none where the roles run in other processes.
    pub loader: Option<Arc<dyn LoadModel>>,
    /// Share of requests that another ready model ranks too, in the shadow.
    pub shadow_share: f64,
    /// Most models loaded or loading at a time, the active one included.
    pub max_loaded: usize,
    /// Items, users and events.
    pub store: Arc<dyn Store>,
    /// Address, limits of requests, drain times. `bind` is not read: the listener is given.
    pub server: ServerOptions,
    /// Which events there are, and which are taken.
    pub events: EventsOptions,
    /// Whether served lists are logged.
    pub exposures: ExposuresOptions,
    /// How experiments are followed and forced.
    pub experiments: ExperimentsOptions,
    /// What the bodies of requests in flight may take, on all ports of the process.
    pub bodies: BodyMemory,
    /// Latency budgets.
    pub budget: BudgetOptions,
    /// Candidates asked of retrieval when the caller names none.
    pub candidate_limit: u32,
    /// What the rules of re-ranking read of items, where a request names no surface.
    pub rule_inputs: Arc<RuleInputs>,
    /// The surfaces that requests may name.
    pub surfaces: Vec<SurfaceParts>,
    /// Which of a bundle's graphs scores.
    pub kind: ModelKind,
    /// Where the gateway registers its metrics, and what `/metrics` shows.
    pub metrics: Metrics,
    /// What `/readyz` asks.
    pub health: Health,
    /// The graphs that this process serves to callers of another protocol.
    pub open_inference: Option<OtherApi>,
}

/// Everything the routes need. Shared by all workers.
pub struct Gateway {
    pub(crate) models: Arc<Models>,
    pub(crate) shadow: Shadow,
    pub(crate) experiments: Arc<Experiments>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) event_checks: Checks,
    pub(crate) unknown_items: UnknownItems,
    pub(crate) exposures: ExposureLog,
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
    pub(crate) surfaces: Surfaces,
    pub(crate) kind: ModelKind,
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
            serving,
            loader,
            max_loaded,
            shadow_share,
            store,
            server,
            events,
            exposures,
            experiments,
            bodies,
            budget,
            candidate_limit,
            rule_inputs,
            surfaces,
            kind,
            metrics,
            health,
            open_inference,
        } = parts;
        let shares = budget.shares;
        let (gateway_metrics, ladder_metrics) = GatewayMetrics::register(&metrics);
        let default_budget = budget.default_budget();
        let unnamed = SurfaceParts {
            name: SurfaceName::default(),
            k: Some(server.k_default),
            budget: Some(default_budget),
            candidates: Some(candidate_limit),
            rule_inputs,
        };
        let surfaces = Surfaces::new(&unnamed, surfaces, |name| gateway_metrics.surface(name));
        let controller = Controller::new(budget.ladder, shares, default_budget, ladder_metrics);
        let controller = Arc::new(controller);
        let admission = Admission::new(server.max_in_flight);
        let watched = Arc::clone(&controller);
        let stage_state = Box::new(move |stage| watched.stage_state(stage));
        metrics::watch(&metrics, stage_state, &admission);
        let connections = Connections::new(server.max_connections);
        let pinged = Arc::clone(&store);
        health.probe("store", move || {
            let store = Arc::clone(&pinged);
            async move { store.ping().await.map_err(|error| error.to_string()) }
        });
        let shown = (metrics.clone(), health.clone());
        let models = Arc::new(Models::new(serving, loader, max_loaded, shown));
        Self {
            models,
            shadow: metrics.register(|to| Shadow::new(shadow_share, to)),
            experiments: Arc::new(Experiments::new(experiments)),
            store,
            event_checks: Checks::new(&events),
            unknown_items: events.unknown_items,
            exposures: ExposureLog::new(&exposures, &metrics),
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
            surfaces,
            kind,
            metrics: gateway_metrics,
            registry: metrics,
            health,
            open_inference,
        }
    }
}

impl Gateway {
    /// The model that answers a request: the one its arms name, where it is ready, else the active one.
    pub(crate) fn model_of(&self, arms: &Arms) -> Arc<ServingModel> {
        let Some(version) = &arms.change.model else { return self.models.active() };
        self.models.ready(version).unwrap_or_else(|| {
            self.metrics.arm_without_model();
            self.models.active()
        })
    }

    /// Whether a path belongs to the other protocol.
    pub(crate) fn serves_other(&self, path: &str) -> bool {
        self.open_inference.as_ref().is_some_and(|api| api.has(path))
    }
}
