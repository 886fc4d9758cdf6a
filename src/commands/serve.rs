//! `plugrank serve`.

use std::net::TcpListener;

use anyhow::{Context, Result};
use plugrank_contract::scoring::ModelKind;
use plugrank_gateway::{Clients, Gateway, GatewayParts};
use plugrank_open_inference::Served;
use plugrank_runtime::{
    Health, Metrics, RecentRequests, Settings, Shutdown, Telemetry, settings::ModelChoice,
};

use super::Failure;
use crate::{
    admin,
    cli::{Role, ServeArgs},
    reserved_port::ReservedPort,
    role_server,
    wiring::{self, Embedding, Model, Node},
};

pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let settings = super::settings(&args.config)?;
    let role = args.role;
    let runner = actix::System::new();
    Ok(runner.block_on(serve(role, settings))?)
}

async fn serve(role: Role, settings: Settings) -> Result<()> {
    // Ports first: one that is taken should be known before minutes of loading.
    let port = ReservedPort::bind(settings.server.bind)?;
    let recent = match settings.admin.bind {
        None => None,
        Some(bind) => {
            let listener = TcpListener::bind(bind)
                .with_context(|| format!("cannot listen on {bind} (admin.bind)"))?;
            let recent = RecentRequests::new(&settings.admin);
            admin::start(listener, recent.clone())?;
            Some(recent)
        }
    };
    let telemetry = Telemetry::install(&settings.telemetry, recent)?;
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
    Ok(Node { settings, store, metrics, health: Health::new() })
}

/// Everything in one process, except what the settings say is elsewhere.
async fn all(port: ReservedPort, settings: Settings, metrics: Metrics) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let model = Model::open(&settings)?;
    let node = node(settings, metrics).await?;
    let embedding = wiring::start_embedding(&node, Some(&model)).await?;
    let retrieval = wiring::start_retrieval(&node, &embedding).await?;
    let scoring = wiring::start_scoring(&node, Some(&model), &embedding).await?;
    let reranking = wiring::start_reranking(&node, &embedding)?;
    let open_inference = scoring.open_inference;
    let clients = Clients {
        retrieve: retrieval.retrieve,
        score: scoring.score,
        rerank: reranking.rerank,
        observe_events: retrieval.observe_events,
        refresh_items: retrieval.refresh_items,
        invalidate: embedding.invalidate,
    };
    gateway(port, node, clients, open_inference, shutdown).await
}

async fn gateway(
    port: ReservedPort,
    node: Node,
    clients: Clients,
    open_inference: Option<Served>,
    shutdown: Shutdown,
) -> Result<()> {
    let Node { settings, store, metrics, health } = node;
    let model = match settings.scoring.model {
        ModelChoice::Unified => ModelKind::Unified,
        ModelChoice::Idrec => ModelKind::Idrec,
    };
    let gateway = Gateway::new(GatewayParts {
        clients,
        store,
        candidate_limit: settings.retrieval.limit,
        server: settings.server,
        budget: settings.budget,
        model,
        metrics,
        health,
        open_inference,
    })?;
    let listener = port.listen()?;
    tracing::info!(address = %listener.local_addr()?, "serving");
    plugrank_gateway::run(listener, gateway, shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

/// One role. What it calls is where `peers` says.
async fn part(role: Role, port: ReservedPort, settings: Settings, metrics: Metrics) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let server = settings.server.clone();
    let needs_model = matches!(role, Role::Embedding | Role::Scoring);
    let model = needs_model.then(|| Model::open(&settings)).transpose()?;
    let node = node(settings, metrics).await?;
    let (metrics, health) = (node.metrics.clone(), node.health.clone());
    let elsewhere = async || -> Result<Embedding> {
        let here = node.settings.peers.embedding_url.is_empty();
        anyhow::ensure!(
            !here,
            "this role needs the address of the embedding role; set peers.embedding_url"
        );
        wiring::start_embedding(&node, None).await
    };
    let routes: role_server::Routes = match role {
        Role::Embedding => {
            let service = wiring::start_embedding(&node, model.as_ref()).await?;
            Box::new(move |config| service.routes(config))
        }
        Role::Retrieval => {
            let service = wiring::start_retrieval(&node, &elsewhere().await?).await?;
            Box::new(move |config| service.routes(config))
        }
        Role::Scoring => {
            let service = wiring::start_scoring(&node, model.as_ref(), &elsewhere().await?).await?;
            Box::new(move |config| service.routes(config))
        }
        Role::Reranking => {
            let service = wiring::start_reranking(&node, &elsewhere().await?)?;
            Box::new(move |config| service.routes(config))
        }
        Role::Gateway | Role::All => {
            let peers = &node.settings.peers;
            for (key, url) in [
                ("peers.retrieval_url", &peers.retrieval_url),
                ("peers.scoring_url", &peers.scoring_url),
                ("peers.reranking_url", &peers.reranking_url),
            ] {
                anyhow::ensure!(!url.is_empty(), "the gateway role needs {key}");
            }
            let embedding = elsewhere().await?;
            let retrieval = wiring::start_retrieval(&node, &embedding).await?;
            let clients = Clients {
                retrieve: retrieval.retrieve,
                score: wiring::start_scoring(&node, None, &embedding).await?.score,
                rerank: wiring::start_reranking(&node, &embedding)?.rerank,
                observe_events: retrieval.observe_events,
                refresh_items: retrieval.refresh_items,
                invalidate: embedding.invalidate,
            };
            return gateway(port, node, clients, None, shutdown).await;
        }
    };
    role_server::run(port.listen()?, server, routes, metrics, health, shutdown).await
}
