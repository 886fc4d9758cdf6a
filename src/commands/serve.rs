//! `plugrank serve`.

use std::sync::Arc;

use anyhow::{Context, Result};
use plugrank_contract::ItemIds;
use plugrank_gateway::{Clients, Gateway, GatewayParts, OtherApi};
use plugrank_runtime::{Metrics, Shutdown, Telemetry};

use super::Failure;
use crate::{
    Settings, admin,
    cli::{Role, ServeArgs},
    features,
    reserved_port::ReservedPort,
    role_server,
    wiring::{self, Catalog, Model, Node},
};

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let settings = super::settings::load(&args.config)?;
    features::check(&settings).map_err(Failure::settings)?;
    let role = args.role;
    let runner = actix::System::new();
    Ok(runner.block_on(serve(role, settings))?)
}

async fn serve(role: Role, settings: Settings) -> Result<()> {
    // Ports first: one that is taken should be known before minutes of loading.
    let port = ReservedPort::bind(settings.server.bind)?;
    let tail = admin::start(&settings.admin)?;
    let telemetry = Telemetry::install(&settings.telemetry, tail)?;
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
    served
}

async fn node(settings: Settings, metrics: Metrics) -> Result<Node> {
    let store = wiring::open_store(&settings.store).await?;
    Ok(Node::new(settings, store, metrics))
}

/// Everything in one process, except what the settings say is in others.
async fn all(port: ReservedPort, settings: Settings, metrics: Metrics) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let model = Model::open(&settings)?;
    let node = node(settings, metrics).await?;
    let peers = &node.settings.peers;
    let catalog = Catalog::load(&node, Some(&model), model.bundle.version()).await?;
    let embedding = match peers.embedding_url.is_empty() {
        true => wiring::start_embedding(&node, &model, &catalog).await?,
        false => wiring::remote_embedding(&node)?,
    };
    let retrieval = if peers.retrieval_url.is_empty() {
        wiring::start_retrieval(&node, Some(&model), &catalog, &embedding).await?
    } else {
        catalog.follow(&node).await;
        wiring::remote_retrieval(&node)?
    };
    let scoring = match peers.scoring_url.is_empty() {
        true => wiring::start_scoring(&node, &model, &catalog, &embedding).await?,
        false => wiring::remote_scoring(&node)?,
    };
    let reranking = match peers.reranking_url.is_empty() {
        true => wiring::start_reranking(&node, Some((&catalog, &embedding)))?,
        false => wiring::remote_reranking(&node)?,
    };
    // Re-ranking here finds vectors in the records of this process, if it has them.
    let looked_up = peers.reranking_url.is_empty() && embedding.here.is_some();
    let facts_for = if looked_up { 0 } else { node.settings.reranking.pool };
    let items = peers.retrieval_url.is_empty().then(|| catalog.items.clone() as _);
    let clients = Clients {
        retrieve: retrieval.retrieve,
        score: scoring.score,
        rerank: reranking.rerank,
        observe_events: retrieval.observe_events,
        refresh_items: retrieval.refresh_items,
        invalidate: embedding.invalidate,
    };
    let process = Process { clients, items, facts_for, open_inference: scoring.open_inference };
    gateway(port, node, process, shutdown).await
}

/// What the gateway of a process works with.
struct Process {
    clients: Clients,
    /// The item table, where retrieval is here too.
    items: Option<Arc<dyn ItemIds>>,
    /// Candidates whose facts come with the scores.
    facts_for: usize,
    open_inference: Option<OtherApi>,
}

async fn gateway(
    port: ReservedPort,
    node: Node,
    process: Process,
    shutdown: Shutdown,
) -> Result<()> {
    let Process { clients, items, facts_for, open_inference } = process;
    let Node { settings, store, metrics, health, bodies } = node;
    let gateway = Gateway::new(GatewayParts {
        clients,
        store,
        items,
        facts_for: u32::try_from(facts_for).unwrap_or(u32::MAX),
        candidate_limit: settings.retrieval.limit,
        server: settings.server,
        bodies,
        budget: settings.budget,
        model: settings.scoring.model,
        metrics,
        health,
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
    let node = node(settings, metrics).await?;
    let (metrics, health, bodies) =
        (node.metrics.clone(), node.health.clone(), node.bodies.clone());
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
            let process = remote_services(&node)?;
            return gateway(port, node, process, shutdown).await;
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

/// The services of a gateway whose roles are all in other processes.
fn remote_services(node: &Node) -> Result<Process> {
    let peers = &node.settings.peers;
    for (key, url) in [
        ("peers.retrieval_url", &peers.retrieval_url),
        ("peers.scoring_url", &peers.scoring_url),
        ("peers.reranking_url", &peers.reranking_url),
    ] {
        anyhow::ensure!(!url.is_empty(), "the gateway role needs {key}");
    }
    let retrieval = wiring::remote_retrieval(node)?;
    let scoring = wiring::remote_scoring(node)?;
    let invalidate = match peers.embedding_url.is_empty() {
        true => scoring.invalidate.context("scoring is not told of changed items")?,
        false => wiring::remote_embedding(node)?.invalidate,
    };
    let clients = Clients {
        retrieve: retrieval.retrieve,
        score: scoring.score,
        rerank: wiring::remote_reranking(node)?.rerank,
        observe_events: retrieval.observe_events,
        refresh_items: retrieval.refresh_items,
        invalidate,
    };
    let facts_for = node.settings.reranking.pool;
    Ok(Process { clients, items: None, facts_for, open_inference: None })
}
