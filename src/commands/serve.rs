//! `plugrank serve`.

use anyhow::{Context, Result};
use plugrank_body::BodyMemory;
use plugrank_gateway::{Gateway, GatewayParts};
use plugrank_runtime::{Health, Metrics, Shutdown, Telemetry};

use super::Failure;
use crate::{
    Settings, admin,
    cli::{Role, ServeArgs},
    features,
    load::Progress,
    models,
    reserved_port::ReservedPort,
    role_server,
    wiring::{
        self, Catalog, Model, Node,
        serving::{self, Started},
    },
};

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let settings = super::settings::load(&args.config)?;
    features::check(&settings).map_err(Failure::settings)?;
    // Ports first: one that is taken should be known before minutes of loading.
    let port = ReservedPort::bind(settings.server.bind)?;
    start(args.role, port, settings)
}

/// Serves a role at `port` until it is told to end.
pub(super) fn start(role: Role, port: ReservedPort, settings: Settings) -> Result<(), Failure> {
    actix::System::new().block_on(serve(role, port, settings))
}

async fn serve(role: Role, port: ReservedPort, settings: Settings) -> Result<(), Failure> {
    let tail = admin::start(&settings.admin)?;
    let telemetry = Telemetry::install(&settings.telemetry, tail).map_err(anyhow::Error::from)?;
    let metrics = Metrics::new();
    telemetry.counts().register(&metrics);
    let served = match role {
        Role::All => all(port, settings, metrics).await,
        _ => part(role, port, settings, metrics).await,
    };
    if let Err(error) = &served {
        tracing::error!("{error:#}");
    }
    telemetry.shutdown();
    served.map_err(Failure::logged)
}

/// `metrics` are those of the node, `all` those of the process.
async fn node(settings: Settings, metrics: Metrics, all: &Metrics) -> Result<Node> {
    let store = wiring::open_store(&settings.store).await?;
    let bodies = BodyMemory::new(settings.server.body_memory());
    wiring::watch_bodies(all, bodies.clone());
    Ok(Node::new(settings, store, metrics, bodies, Progress::shown()))
}

/// Everything in one process, except what the settings say is in others.
async fn all(port: ReservedPort, settings: Settings, metrics: Metrics) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let model = Model::open(&settings)?;
    // The model's own: another one may take its place.
    let node = node(settings, Metrics::of_part(), &metrics).await?;
    let started = serving::start(&node, &model).await?;
    gateway(port, metrics, node, started, shutdown).await
}

async fn gateway(
    port: ReservedPort,
    metrics: Metrics,
    node: Node,
    started: Started,
    shutdown: Shutdown,
) -> Result<()> {
    let Started { serving, open_inference } = started;
    let Node { settings, store, bodies, .. } = node;
    let gateway = Gateway::new(GatewayParts {
        serving,
        loader: models::Loader::of_process(&settings, &store, &bodies),
        max_loaded: settings.models.max_loaded,
        shadow_share: settings.models.shadow_share,
        store,
        candidate_limit: settings.retrieval.limit,
        rule_inputs: std::sync::Arc::new(plugrank_reranking::rule_inputs(&settings.reranking, &[])),
        surfaces: settings.surface_parts(),
        server: settings.server,
        events: settings.events,
        exposures: settings.exposures,
        experiments: settings.experiments,
        bodies,
        budget: settings.budget,
        kind: settings.scoring.model,
        metrics,
        health: Health::new(),
        open_inference,
    });
    let listener = port.listen()?;
    tracing::info!(address = %listener.local_addr()?, "serving");
    plugrank_gateway::run(listener, gateway, shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

/// One role. What it calls is where `peers` says; without an embedding role, scoring and retrieval
/// have the encoders beside themselves.
async fn part(role: Role, port: ReservedPort, settings: Settings, metrics: Metrics) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let server = settings.server.clone();
    let apart = !settings.peers.embedding_url.is_empty();
    let needs_model = match role {
        Role::Embedding | Role::Scoring => true,
        Role::Retrieval => !apart,
        Role::Reranking | Role::Gateway | Role::All => false,
    };
    let model = needs_model.then(|| Model::open(&settings)).transpose()?;
    let own = match role {
        Role::Gateway | Role::All => Metrics::of_part(),
        _ => metrics.clone(),
    };
    let node = node(settings, own, &metrics).await?;
    let (health, bodies) = (node.health.clone(), node.bodies.clone());
    let routes: role_server::Routes = match role {
        Role::Embedding | Role::Retrieval | Role::Scoring => {
            let with_embedding = apart && role != Role::Embedding;
            items_role(role, &node, model.as_ref(), with_embedding).await?
        }
        Role::Reranking => {
            let service = wiring::start_reranking(&node, None)?;
            Box::new(move |config| service.routes(config))
        }
        Role::Gateway | Role::All => {
            let started = serving::remote(&node)?;
            return gateway(port, metrics, node, started, shutdown).await;
        }
    };
    role_server::run(port.listen()?, server, routes, bodies, metrics, health, shutdown).await
}

/// A role that holds the item table.
async fn items_role(
    role: Role,
    node: &Node,
    model: Option<&Model>,
    remote_embedding: bool,
) -> Result<role_server::Routes> {
    let remote = remote_embedding.then(|| wiring::remote_embedding(node)).transpose()?;
    let bundle = match (model, &remote) {
        (Some(model), _) => model.bundle.version().to_owned(),
        (None, Some(remote)) => wiring::bundle_in_use(remote).await?,
        (None, None) => anyhow::bail!("this role has no model"),
    };
    let catalog = Catalog::load(node, model, &bundle).await?;
    let embedding = match (remote, model) {
        (Some(remote), _) => remote,
        (None, Some(model)) => wiring::start_embedding(node, model, &catalog).await?,
        (None, None) => anyhow::bail!("this role has no model"),
    };
    if role == Role::Retrieval {
        let service = wiring::start_retrieval(node, model, &catalog, &embedding).await?;
        return Ok(Box::new(move |config| service.routes(config)));
    }
    catalog.follow(node).await;
    if role == Role::Embedding {
        return Ok(Box::new(move |config| {
            // The table is kept up to date for as long as its calls are served.
            let _ = &catalog;
            embedding.routes(config);
        }));
    }
    let model = model.context("this role has no model")?;
    let service = wiring::start_scoring(node, model, &catalog, &embedding).await?;
    Ok(Box::new(move |config| {
        let _ = &catalog;
        service.routes(config);
    }))
}
