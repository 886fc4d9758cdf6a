//! What a gateway is made of.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use plugrank_access::{AccessOptions, Gate};
use plugrank_body::BodyMemory;
use plugrank_budget::{Admission, Shares};
use plugrank_contract::scoring::{ModelKind, RuleInputs};
use plugrank_runtime::{Health, Metrics};
use plugrank_store::Store;
use plugrank_tls::ServerTls;
use tokio::sync::watch;

use crate::{
    LiveOptions, LoadModel, OtherApi, ServerOptions, ServingModel,
    calibration::CalibrationMetrics,
    change_turns::ChangeTurns,
    connections::Connections,
    controller::Controller,
    events::{Checks, EventsOptions, UnknownItems},
    experiments::{Arms, ExperimentMetrics, Experiments, Tallies},
    exposures::{ExposureLog, ExposuresOptions},
    metrics::{self, GatewayMetrics},
    models::{Models, shadow::Shadow},
    routes,
    surface::{SurfaceParts, Surfaces},
};

/// What a [`Gateway`] is made from.
pub struct GatewayParts {
    /// The model it begins with.
    pub serving: ServingModel,
    /// Loads further models; none where the roles run in other processes.
    pub loader: Option<Arc<dyn LoadModel>>,
    /// How often the folder of models is looked into for new bundles; none for never.
    pub watch_models: Option<Duration>,
    /// Items, users and events.
    pub store: Arc<dyn Store>,
    /// Address, limits of requests, drain times. `bind` is not read: the listener is given.
    pub server: ServerOptions,
    /// TLS of the port, where it speaks it; section `server` is not asked.
    pub tls: Option<ServerTls>,
    /// Which hosts and origins are served, and who may read the metrics.
    pub access: AccessOptions,
    /// Who may ask what.
    pub gate: Gate,
    /// Which events there are, and which are taken.
    pub events: EventsOptions,
    /// Whether served lists are logged.
    pub exposures: ExposuresOptions,
    /// What may change while it serves.
    pub live: LiveOptions,
    /// Those that it is to take up, if any.
    pub reloads: Option<watch::Receiver<LiveOptions>>,
    /// What the rules of re-ranking read of items, where a request names no surface.
    pub rule_inputs: Arc<RuleInputs>,
    /// The surfaces that requests may name.
    pub surfaces: Vec<SurfaceParts>,
    /// What the bodies of requests in flight may take, on all ports of the process.
    pub bodies: BodyMemory,
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
    pub(crate) tallies: Arc<Tallies>,
    pub(crate) experiment_metrics: ExperimentMetrics,
    pub(crate) calibration: CalibrationMetrics,
    /// Type of event to the further task that it is the label of.
    pub(crate) labels: BTreeMap<String, String>,
    /// Types of events that experiments count.
    pub(crate) tasks: Vec<String>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) event_checks: Checks,
    pub(crate) unknown_items: UnknownItems,
    pub(crate) exposures: ExposureLog,
    /// Of items and users.
    pub(crate) changes: ChangeTurns,
    pub(crate) bulk_loads: tokio::sync::Semaphore,
    pub(crate) exports: Arc<tokio::sync::Semaphore>,
    pub(crate) server: ServerOptions,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) access: AccessOptions,
    pub(crate) gate: Gate,
    pub(crate) bodies: BodyMemory,
    pub(crate) live: ArcSwap<LiveOptions>,
    pub(crate) reloads: Option<watch::Receiver<LiveOptions>>,
    pub(crate) watch_models: Option<Duration>,
    pub(crate) controller: Arc<Controller>,
    pub(crate) admission: Admission,
    pub(crate) connections: Connections,
    pub(crate) surfaces: Surfaces,
    pub(crate) kind: ModelKind,
    pub(crate) registry: Metrics,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) health: Health,
    pub(crate) open_inference: Option<OtherApi>,
}

impl Gateway {
    /// A gateway; registers its metrics, and the store as a check that readiness reports.
    #[must_use]
    pub fn new(parts: GatewayParts) -> Self {
        let GatewayParts {
            serving,
            loader,
            watch_models,
            store,
            server,
            tls,
            access,
            gate,
            events,
            exposures,
            live,
            reloads,
            rule_inputs,
            surfaces,
            bodies,
            kind,
            metrics,
            health,
            open_inference,
        } = parts;
        let tasks = positive_types(&events);
        let (gateway_metrics, ladder_metrics) = GatewayMetrics::register(&metrics);
        let unnamed = SurfaceParts { rule_inputs, ..SurfaceParts::default() };
        let surfaces = Surfaces::new(&unnamed, surfaces, |name| gateway_metrics.surface(name));
        let controller = Arc::new(Controller::new(&live.budget, ladder_metrics));
        let admission = Admission::new(server.max_in_flight);
        let watched = Arc::clone(&controller);
        let stage_state = Box::new(move |stage| watched.stage_state(stage));
        metrics::watch(&metrics, stage_state, &admission);
        let connections = Connections::new(server.max_connections);
        let pinged = Arc::clone(&store);
        health.advise("store", move || {
            let store = Arc::clone(&pinged);
            async move { store.ping().await.map_err(|error| error.to_string()) }
        });
        let shown = (metrics.clone(), health.clone());
        let models =
            Arc::new(Models::new(serving, loader, live.max_loaded, Arc::clone(&store), shown));
        Self {
            models,
            shadow: metrics.register(|to| Shadow::new(live.shadow_share, to)),
            experiments: Arc::new(Experiments::new(live.experiments.clone())),
            tallies: Arc::default(),
            experiment_metrics: metrics.register(ExperimentMetrics::register),
            calibration: metrics.register(CalibrationMetrics::register),
            labels: events.types.tasks(),
            tasks,
            store,
            event_checks: Checks::new(&events),
            unknown_items: events.unknown_items,
            exposures: ExposureLog::new(&exposures, &metrics),
            changes: ChangeTurns::new(),
            bulk_loads: tokio::sync::Semaphore::new(routes::item_bulk::AT_A_TIME),
            exports: Arc::new(tokio::sync::Semaphore::new(routes::export::AT_A_TIME)),
            server,
            tls,
            access,
            gate,
            bodies,
            live: ArcSwap::from_pointee(live),
            reloads,
            watch_models,
            controller,
            admission,
            connections,
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
    /// Takes up other options, from the next request on.
    pub(crate) fn take_up(&self, options: LiveOptions) {
        self.controller.set(&options.budget);
        self.experiments.set_options(options.experiments.clone());
        self.models.set_max_loaded(options.max_loaded);
        self.shadow.set_share(options.shadow_share);
        self.live.store(options.into());
    }

    /// How a budget is split now.
    pub(crate) fn shares(&self) -> Shares {
        self.live.load().budget.shares
    }

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

/// Types of events that show interest: what experiments count.
fn positive_types(events: &EventsOptions) -> Vec<String> {
    let types = events.types.resolved();
    types.into_iter().filter(|(_, one)| one.is_positive()).map(|(name, _)| name).collect()
}
