//! The calls of each role, wherever it runs.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use plugrank_contract::{
    embedding::{Fetch, FetchVectors, Invalidate},
    reranking::Rerank,
    retrieval::{ObserveEvents, RefreshItems, Retrieve, Similar},
    scoring::{CheckFeatures, Score},
};
use plugrank_encoding::Encoding;
use plugrank_gateway::OtherApi;
use plugrank_transport::{Client, Service, server::route};

use super::client;

/// Calls of the embedding role.
#[derive(Clone)]
pub struct Embedding {
    /// Item records and user states.
    pub fetch: Client<Fetch>,
    /// Item vectors.
    pub fetch_vectors: Client<FetchVectors>,
    /// Word of changed items.
    pub invalidate: Client<Invalidate>,
    /// The library itself, where it runs in this process.
    pub here: Option<Arc<Encoding>>,
}

impl Embedding {
    pub(super) fn from_service<S>(service: S, here: Option<Arc<Encoding>>) -> Self
    where
        S: Service<Fetch> + Service<FetchVectors> + Service<Invalidate> + Clone,
    {
        Self {
            fetch: client(service.clone()),
            fetch_vectors: client(service.clone()),
            invalidate: client(service),
            here,
        }
    }
}

/// Calls of the retrieval role.
#[derive(Clone)]
pub struct Retrieval {
    /// Candidates.
    pub retrieve: Client<Retrieve>,
    /// Items similar to an item.
    pub similar: Client<Similar>,
    /// Stored events.
    pub observe_events: Client<ObserveEvents>,
    /// Written items.
    pub refresh_items: Client<RefreshItems>,
}

impl Retrieval {
    pub(super) fn from_service<S>(service: S) -> Self
    where
        S: Service<Retrieve>
            + Service<Similar>
            + Service<ObserveEvents>
            + Service<RefreshItems>
            + Clone,
    {
        Self {
            retrieve: client(service.clone()),
            similar: client(service.clone()),
            observe_events: client(service.clone()),
            refresh_items: client(service),
        }
    }
}

/// Calls of the scoring role.
#[derive(Clone)]
pub struct Scoring {
    /// Click probabilities.
    pub score: Client<Score>,
    /// Whether features can be read, before they are stored.
    pub check_features: Client<CheckFeatures>,
    /// Word of changed items, where scoring has the encoders beside itself.
    pub invalidate: Option<Client<Invalidate>>,
    /// The graphs, for callers of another protocol; `None` where they run in another process, or by
    /// the settings.
    pub open_inference: Option<OtherApi>,
}

impl Scoring {
    pub(super) fn from_service<S>(service: S) -> Self
    where
        S: Service<Score> + Service<CheckFeatures> + Clone,
    {
        Self {
            score: client(service.clone()),
            check_features: client(service),
            invalidate: None,
            open_inference: None,
        }
    }
}

/// Calls of the re-ranking role.
#[derive(Clone)]
pub struct Reranking {
    /// The final order.
    pub rerank: Client<Rerank>,
}

impl Reranking {
    pub(super) fn from_service(service: impl Service<Rerank>) -> Self {
        Self { rerank: client(service) }
    }

    /// Serves the calls to other processes.
    pub fn routes(&self, config: &mut ServiceConfig) {
        route(config, self.rerank.clone());
    }
}
