//! A model with every service over it, as the gateway calls it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use futures::try_join;
use plugrank_contract::loading;
use plugrank_gateway::{Clients, OtherApi, REMOTE, ServingModel};
use plugrank_runtime::{Health, Metrics};
use plugrank_transport::{ForModel, Remote};

use super::{
    Catalog, Model, Node, Retrieval, Scoring, client, fill_records, remote_embedding,
    remote_reranking, remote_retrieval, remote_scoring, start_embedding, start_reranking,
    start_retrieval, start_scoring,
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
    let catalog = Catalog::empty(node, Some(model))?;
    let encoders = async {
        match peers.embedding_url.is_empty() {
            true => start_embedding(node, model, &catalog).await,
            false => remote_embedding(node, None),
        }
    };
    let filled = catalog.fill(node, Some(model), model.bundle.version());
    let ((), embedding) = try_join!(filled, encoders)?;
    let candidates = async {
        fill_records(node, &embedding).await?;
        if peers.retrieval_url.is_empty() {
            return start_retrieval(node, Some(model), &catalog, &embedding).await;
        }
        catalog.follow(node).await;
        remote_retrieval(node)
    };
    let scores = async {
        match peers.scoring_url.is_empty() {
            true => start_scoring(node, model, &catalog, &embedding).await,
            false => remote_scoring(node),
        }
    };
    // Records are read and every shape of a graph is run side by side: neither needs the other.
    let (retrieval, scoring) = try_join!(candidates, scores)?;
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

/// The roles of other processes, as a gateway that has none calls them.
#[derive(Clone)]
pub struct RemoteRoles {
    /// Item records and user states; none where scoring and retrieval have the encoders beside themselves.
    pub embedding: Option<Remote>,
    /// Candidates.
    pub retrieval: Remote,
    /// Click probabilities.
    pub scoring: Remote,
    reranking: Remote,
    facts_for: u32,
    metrics: Metrics,
    health: Health,
}

impl RemoteRoles {
    /// Clients of all of them.
    ///
    /// # Errors
    /// When the address of one is missing or cannot be used.
    pub fn new(node: &Node) -> Result<Self> {
        let peers = &node.settings.peers;
        let role = |name: &'static str, urls: &[String]| {
            ensure!(!urls.is_empty(), "the gateway role needs peers.{name}_url");
            node.remote(name, urls)
        };
        let apart = !peers.embedding_url.is_empty();
        Ok(Self {
            embedding: apart.then(|| role("embedding", &peers.embedding_url)).transpose()?,
            retrieval: role("retrieval", &peers.retrieval_url)?,
            scoring: role("scoring", &peers.scoring_url)?,
            reranking: role("reranking", &peers.reranking_url)?,
            facts_for: u32::try_from(node.settings.reranking.pool).unwrap_or(u32::MAX),
            metrics: node.metrics.clone(),
            health: node.health.clone(),
        })
    }

    /// A model that they have: every call names it.
    #[must_use]
    pub fn model(&self, version: &str, folder: Option<&str>) -> ServingModel {
        let name = loading::name(version, folder);
        self.serving(version.to_owned(), folder, Some(name.into()))
    }

    /// The model that is active in each of them.
    #[must_use]
    pub fn unnamed(&self) -> ServingModel {
        self.serving(REMOTE.to_owned(), None, None)
    }

    fn serving(
        &self,
        version: String,
        folder: Option<&str>,
        model: Option<Arc<str>>,
    ) -> ServingModel {
        let named = |remote: &Remote| ForModel::new(remote.clone(), model.clone());
        let retrieval = Retrieval::from_service(named(&self.retrieval));
        let scoring = Scoring::from_service(named(&self.scoring));
        // The roles with encoders are told about changed items.
        let encoders = named(self.embedding.as_ref().unwrap_or(&self.scoring));
        ServingModel {
            version,
            folder: folder.map(str::to_owned),
            clients: Clients {
                retrieve: retrieval.retrieve,
                similar: retrieval.similar,
                score: scoring.score,
                check_features: scoring.check_features,
                rerank: client(self.reranking.clone()),
                observe_events: retrieval.observe_events,
                refresh_items: retrieval.refresh_items,
                invalidate: client(encoders),
            },
            items: None,
            facts_for: self.facts_for,
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            on_active: None,
            keep: Arc::new(()),
        }
    }
}
