//! A model as the gateway calls it.

use std::{any::Any, sync::Arc};

use plugrank_contract::{
    ItemIds,
    embedding::Invalidate,
    reranking::Rerank,
    retrieval::{ObserveEvents, RefreshItems, Retrieve, Similar},
    scoring::{CheckFeatures, Score},
};
use plugrank_runtime::{Health, Metrics};
use plugrank_transport::Client;

/// The services a gateway calls, wherever they run.
#[derive(Clone)]
pub struct Clients {
    /// Candidates.
    pub retrieve: Client<Retrieve>,
    /// Items similar to an item.
    pub similar: Client<Similar>,
    /// Click probabilities.
    pub score: Client<Score>,
    /// Whether the model can read features, before they are stored.
    pub check_features: Client<CheckFeatures>,
    /// Final order.
    pub rerank: Client<Rerank>,
    /// Retrieval, told about stored events.
    pub observe_events: Client<ObserveEvents>,
    /// Retrieval, told about written items.
    pub refresh_items: Client<RefreshItems>,
    /// Embedding, told about changed items.
    pub invalidate: Client<Invalidate>,
}

/// A model bundle with the services over it. Dropping the last reference stops those of this process.
pub struct ServingModel {
    /// Version of the bundle; [`REMOTE`](super::REMOTE) where the roles run in other processes.
    pub version: String,
    /// Name of its folder among the models; none for the bundle of the settings.
    pub folder: Option<String>,
    /// The services.
    pub clients: Clients,
    /// The item table of this process, where retrieval runs here too; ids are resolved in it.
    pub items: Option<Arc<dyn ItemIds>>,
    /// Candidates whose facts come with the scores, for a re-ranking role that cannot look them up; 0
    /// where it can.
    pub facts_for: u32,
    /// What its services count; shown while it is active.
    pub metrics: Metrics,
    /// Whether its services can do their work; asked while it is active.
    pub health: Health,
    /// Done when it becomes the active one.
    pub on_active: Option<Arc<dyn Fn() + Send + Sync>>,
    /// What its services need and do not hold themselves, such as their threads.
    pub keep: Arc<dyn Any + Send + Sync>,
}
