//! `plugrank serve`.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use plugrank_access::Gate;
use plugrank_body::BodyMemory;
use plugrank_gateway::{Gateway, GatewayParts, LiveOptions, LoadModel, REMOTE};
use plugrank_runtime::{Health, Metrics, Shutdown, Telemetry, options::TelemetryOptions};
use plugrank_store::Store;
use plugrank_tls::{CertificateExpiry, ServerTls};

use tokio::sync::watch;

use super::Failure;
use crate::{
    Settings, admin,
    cli::{ConfigArg, Role, ServeArgs},
    features,
    load::Progress,
    models::{self, EmbeddingRole, RetrievalRole, RoleCalls, RoleModels, RoleProcess, ScoringRole},
    reload,
    reserved_port::ReservedPort,
    role_access::{self, RoleAccess},
    role_server::{self, RoleParts},
    start_line::StartLine,
    wiring::{
        self, Node,
        serving::{self, RemoteRoles, Started},
    },
};

/// Settings that the gateway of a process takes up.
type Reloads = watch::Receiver<LiveOptions>;

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let settings = super::settings::load(&args.config)?;
    features::check(&settings).map_err(Failure::settings)?;
    check_bind(args.role, &settings).map_err(Failure::settings)?;
    // Ports first: one that is taken should be known before minutes of loading.
    let port = ReservedPort::bind(settings.server.bind)?;
    start(args.role, port, settings, args.config.clone())
}

/// Refuses a port that is not on loopback and has no authentication.
pub(super) fn check_bind(role: Role, settings: &Settings) -> Result<(), String> {
    let bind = settings.server.bind;
    if let Some(admin) = settings.admin.bind {
        settings.access.check_bind("admin.bind", admin)?;
    }
    if settings.admin.tls == Some(true) && !settings.server.tls.is_on() {
        return Err("admin.tls is true, and server.tls names no certificate".to_owned());
    }
    match role {
        Role::All | Role::Gateway => settings.access.check_bind("server.bind", bind),
        _ => role_access::check_bind(settings),
    }
}

/// Serves a role at `port` until it is told to end; at SIGHUP what `config` names is read again.
pub(super) fn start(
    role: Role,
    port: ReservedPort,
    settings: Settings,
    config: ConfigArg,
) -> Result<(), Failure> {
    actix::System::new().block_on(serve(role, port, settings, config))
}

/// A process of one role names it behind its service's name.
fn telemetry_of(role: Role, settings: &TelemetryOptions) -> TelemetryOptions {
    let service_name = match role {
        Role::All => settings.service_name.clone(),
        _ => format!("{}-{}", settings.service_name, role.name()),
    };
    TelemetryOptions { service_name, ..settings.clone() }
}

async fn serve(
    role: Role,
    port: ReservedPort,
    settings: Settings,
    config: ConfigArg,
) -> Result<(), Failure> {
    let gate = Gate::new(&settings.access).map_err(Failure::settings)?;
    let tls = ServerTls::new(&settings.server.tls, &settings.peers.tls);
    let tls = tls.map_err(Failure::settings)?;
    let (admin, tail) = admin::start(&settings.admin, &gate, tls.as_ref())?;
    let telemetry = telemetry_of(role, &settings.telemetry);
    let telemetry = Telemetry::install(&telemetry, tail).map_err(anyhow::Error::from)?;
    if let Some(admin) = admin {
        admin.serve(telemetry.level().clone());
    }
    let metrics = Metrics::new();
    telemetry.counts().register(&metrics);
    let expiry = CertificateExpiry::watch(&settings.server.tls, &settings.peers.tls);
    expiry.map_err(Failure::settings)?.register(&metrics);
    actix_web::rt::spawn(gate.clone().follow());
    let opened = OpenedStore::default();
    let gateway = matches!(role, Role::All | Role::Gateway);
    let (tell, told) = watch::channel(reload::live(&settings));
    let read = move || super::settings::load(&config);
    reload::on_signal(settings.clone(), read, gateway.then_some(tell))?;
    let door = Door { port, tls, gate };
    let served = match role {
        Role::All => all(door, settings, metrics, told, &opened).await,
        _ => part(role, door, settings, metrics, told, &opened).await,
    };
    if let Err(error) = &served {
        tracing::error!("{error:#}");
    }
    // Actors and their threads still hold it; what is not closed has to be verified at the next start.
    if let Some(store) = opened.get()
        && let Err(error) = store.close().await
    {
        tracing::error!(%error, "the store was not closed");
    }
    telemetry.shutdown();
    served.map_err(Failure::logged)
}

/// The store of the process, once it is open.
type OpenedStore = OnceLock<Arc<dyn Store>>;

/// `metrics` are those of the node, `all` those of the process.
async fn node(
    settings: Settings,
    metrics: Metrics,
    all: &Metrics,
    opened: &OpenedStore,
) -> Result<Node> {
    let store = wiring::open_measured(&settings.store, all).await?;
    let _ = opened.set(Arc::clone(&store));
    let bodies = BodyMemory::new(settings.server.body_memory());
    wiring::watch_bodies(all, bodies.clone());
    Ok(Node::new(settings, store, metrics, bodies, Progress::shown()))
}

/// Where callers come in.
struct Door {
    port: ReservedPort,
    tls: Option<ServerTls>,
    /// Who may.
    gate: Gate,
}

/// Everything in one process, except what the settings say is in others.
async fn all(
    door: Door,
    settings: Settings,
    metrics: Metrics,
    reloads: Reloads,
    opened: &OpenedStore,
) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let start = StartLine::new(Role::All, &settings);
    // The model's own: another one may take its place.
    let mut node = node(settings.clone(), Metrics::of_part(), &metrics, opened).await?;
    let model = models::begin(&mut node.settings, &node.store).await?;
    let started = serving::start(&node, &model).await?;
    let Node { store, bodies, open_inference, .. } = &node;
    let loader = models::Loader::of_process(&settings, store, bodies, open_inference);
    let front = Front { start, door, metrics, settings, reloads, loader };
    gateway(front, node, started, shutdown).await
}

/// What the gateway is made of beside the node and its model.
struct Front {
    start: StartLine,
    door: Door,
    /// Those of the process.
    metrics: Metrics,
    settings: Settings,
    reloads: Reloads,
    /// Loads further models, where that can be.
    loader: Option<Arc<dyn LoadModel>>,
}

async fn gateway(front: Front, node: Node, started: Started, shutdown: Shutdown) -> Result<()> {
    let Front { start, door, metrics, settings, reloads, loader } = front;
    let Door { port, tls, gate } = door;
    let Started { serving, open_inference } = started;
    let Node { store, bodies, .. } = node;
    wiring::retention::keep(Arc::clone(&store), settings.store.retention());
    let bundle = serving.version.clone();
    let from = match &serving.folder {
        Some(folder) => format!("{folder}, activated before"),
        None if bundle == REMOTE => OTHERS.to_owned(),
        None => "bundle.path".to_owned(),
    };
    let gateway = Gateway::new(GatewayParts {
        serving,
        loader,
        watch_models: settings.models.watch_every(),
        store,
        rule_inputs: std::sync::Arc::new(plugrank_reranking::rule_inputs(&settings.reranking, &[])),
        surfaces: settings.surface_parts(),
        live: reload::live(&settings),
        reloads: Some(reloads),
        server: settings.server,
        tls,
        access: settings.access,
        gate,
        events: settings.events,
        exposures: settings.exposures,
        bodies,
        kind: settings.scoring.model,
        metrics,
        health: Health::new(),
        open_inference,
    });
    let listener = port.listen()?;
    start.serving(&bundle, &from, listener.local_addr()?);
    plugrank_gateway::run(listener, gateway, shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

/// One role. What it calls is where `peers` says; without an embedding role, scoring and retrieval
/// have the encoders beside themselves.
async fn part(
    role: Role,
    door: Door,
    settings: Settings,
    metrics: Metrics,
    reloads: Reloads,
    opened: &OpenedStore,
) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let (server, start) = (settings.server.clone(), StartLine::new(role, &settings));
    let access = RoleAccess::new(&settings, door.gate.clone())?;
    let needs_bundle = match role {
        Role::Embedding | Role::Scoring => true,
        Role::Retrieval => settings.peers.embedding_url.is_empty(),
        Role::Reranking | Role::Gateway | Role::All => false,
    };
    let own = match role {
        Role::Reranking => metrics.clone(),
        // Those of the model that is active.
        _ => Metrics::of_part(),
    };
    let node = node(settings, own, &metrics, opened).await?;
    let bodies = node.bodies.clone();
    let (routes, health, bundle, from) = match role {
        Role::Embedding => of_models::<EmbeddingRole>(role, node, &metrics, needs_bundle).await?,
        Role::Retrieval => of_models::<RetrievalRole>(role, node, &metrics, needs_bundle).await?,
        Role::Scoring => of_models::<ScoringRole>(role, node, &metrics, needs_bundle).await?,
        Role::Reranking => {
            let service = wiring::start_reranking(&node, None)?;
            let routes: role_server::Routes = Box::new(move |config| service.routes(config));
            (routes, node.health.clone(), "of the scoring role".to_owned(), OTHERS.to_owned())
        }
        Role::Gateway | Role::All => {
            let roles = RemoteRoles::new(&node)?;
            let serving = models::apart::begin(&roles, &node.store).await;
            let loader: Arc<dyn LoadModel> = Arc::new(models::apart::RemoteLoader::new(roles));
            let loader = Some(loader);
            let started = Started { serving, open_inference: None };
            let settings = node.settings.clone();
            let front = Front { start, door, metrics, settings, reloads, loader };
            return gateway(front, node, started, shutdown).await;
        }
    };
    let Door { port, tls, .. } = door;
    let listener = port.listen()?;
    start.serving(&bundle, &from, listener.local_addr()?);
    let parts = RoleParts { settings: server, routes, tls, access, bodies, metrics, health };
    role_server::run(listener, parts, shutdown).await
}

/// Where a role's model comes from that has none itself.
const OTHERS: &str = "other processes";

/// A role that has models: its routes, its health, and what the start line says of the model it begins with.
async fn of_models<T: RoleCalls>(
    role: Role,
    node: Node,
    metrics: &Metrics,
    needs_bundle: bool,
) -> Result<(role_server::Routes, Health, String, String)> {
    let (named, model) = models::begin_role(&node, needs_bundle).await?;
    let health = Health::new();
    let process = RoleProcess {
        role: role.name(),
        settings: node.settings,
        store: node.store,
        bodies: node.bodies,
        metrics: metrics.clone(),
        health: health.clone(),
        open_inference: node.open_inference,
        needs_bundle,
    };
    let from = match (&named.folder, needs_bundle) {
        (Some(folder), _) => format!("{folder}, activated before"),
        (None, true) => "bundle.path".to_owned(),
        (None, false) => OTHERS.to_owned(),
    };
    let bundle = named.version.clone();
    let held = RoleModels::<T>::begin(process, named, model, node.progress).await?;
    actix_web::rt::spawn(Arc::clone(&held).follow());
    let routes: role_server::Routes = Box::new(move |config| models::role_routes(&held, config));
    Ok((routes, health, bundle, from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_one_role_names_it_in_traces() {
        let settings = TelemetryOptions { service_name: "shop".to_owned(), ..Default::default() };
        assert_eq!(telemetry_of(Role::All, &settings).service_name, "shop");
        assert_eq!(telemetry_of(Role::Scoring, &settings).service_name, "shop-scoring");
    }
}
