//! A model with every service over it, as the gateway calls it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use plugrank_gateway::{Clients, OtherApi, REMOTE, ServingModel};

use super::{
    Catalog, Model, Node, remote_embedding, remote_reranking, remote_retrieval, remote_scoring,
    start_embedding, start_reranking, start_retrieval, start_scoring,
};

/// A model that was started.
pub struct Started {
    /// For the gateway.
    pub serving: ServingModel,
    /// The graphs, for callers of another protocol.
    pub open_inference: Option<OtherApi>,
}

/// Starts the services over a model here, except those that the settings say are in other processes.
///
/// # Errors
/// When the catalog, a graph or an option cannot be used.
pub async fn start(node: &Node, model: &Model) -> Result<Started> {
    let peers = &node.settings.peers;
    let catalog = Catalog::load(node, Some(model), model.bundle.version()).await?;
    let embedding = match peers.embedding_url.is_empty() {
        true => start_embedding(node, model, &catalog).await?,
        false => remote_embedding(node)?,
    };
    let retrieval = if peers.retrieval_url.is_empty() {
        start_retrieval(node, Some(model), &catalog, &embedding).await?
    } else {
        catalog.follow(node).await;
        remote_retrieval(node)?
    };
    let scoring = match peers.scoring_url.is_empty() {
        true => start_scoring(node, model, &catalog, &embedding).await?,
        false => remote_scoring(node)?,
    };
    let reranking = match peers.reranking_url.is_empty() {
        true => start_reranking(node, Some((&catalog, &embedding)))?,
        false => remote_reranking(node)?,
    };
    // Re-ranking here finds vectors in the records of this process, if it has them.
    let looked_up = peers.reranking_url.is_empty() && embedding.here.is_some();
    let facts_for = if looked_up { 0 } else { node.settings.reranking.pool };
    let serving = ServingModel {
        version: model.bundle.version().to_owned(),
        folder: model.folder.clone(),
        clients: Clients {
            retrieve: retrieval.retrieve,
            similar: retrieval.similar,
            score: scoring.score,
            check_features: scoring.check_features,
            rerank: reranking.rerank,
            observe_events: retrieval.observe_events,
            refresh_items: retrieval.refresh_items,
            invalidate: embedding.invalidate,
        },
        items: peers.retrieval_url.is_empty().then(|| catalog.items.clone() as _),
        facts_for: u32::try_from(facts_for).unwrap_or(u32::MAX),
        metrics: node.metrics.clone(),
        health: node.health.clone(),
        on_active: scoring.open_inference.as_ref().map(|api| Arc::clone(&api.activate)),
        keep: Arc::new((catalog, node.threads.clone())),
    };
    Ok(Started { serving, open_inference: scoring.open_inference })
}

/// The model of a gateway whose services are all in other processes.
///
/// # Errors
/// When the address of one is missing or cannot be used.
pub fn remote(node: &Node) -> Result<Started> {
    let peers = &node.settings.peers;
    for (key, url) in [
        ("peers.retrieval_url", &peers.retrieval_url),
        ("peers.scoring_url", &peers.scoring_url),
        ("peers.reranking_url", &peers.reranking_url),
    ] {
        ensure!(!url.is_empty(), "the gateway role needs {key}");
    }
    let (retrieval, scoring) = (remote_retrieval(node)?, remote_scoring(node)?);
    let invalidate = match peers.embedding_url.is_empty() {
        true => scoring.invalidate.context("scoring is not told about changed items")?,
        false => remote_embedding(node)?.invalidate,
    };
    let serving = ServingModel {
        version: REMOTE.to_owned(),
        folder: None,
        clients: Clients {
            retrieve: retrieval.retrieve,
            similar: retrieval.similar,
            score: scoring.score,
            check_features: scoring.check_features,
            rerank: remote_reranking(node)?.rerank,
            observe_events: retrieval.observe_events,
            refresh_items: retrieval.refresh_items,
            invalidate,
        },
        items: None,
        facts_for: u32::try_from(node.settings.reranking.pool).unwrap_or(u32::MAX),
        metrics: node.metrics.clone(),
        health: node.health.clone(),
        on_active: None,
        keep: Arc::new(()),
    };
    Ok(Started { serving, open_inference: None })
}
