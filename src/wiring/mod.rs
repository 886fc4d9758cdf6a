//! Builds each role out of settings: its service here, or a client of one in another process.

mod catalog;
mod clients;
mod embedding;
mod metrics;
#[cfg_attr(not(feature = "open-inference"), path = "open_inference_off.rs")]
mod open_inference;
pub(crate) mod options;
mod reranking;
pub(crate) mod retention;
mod retrieval;
mod scoring;
pub mod serving;
mod store;
mod store_metrics;
mod threads;
#[cfg_attr(not(feature = "vector-engine"), path = "vector_engine_off.rs")]
mod vector_engine;

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use plugrank_access::RoleToken;
use plugrank_body::BodyMemory;
use plugrank_bundle::{Bundle, FeatureEncoder, GraphName};
use plugrank_inference::{Library, check_lookups};
use plugrank_runtime::{Health, Metrics};
use plugrank_store::Store;
use plugrank_transport::{Local, LocalOptions, Remote, RemoteOptions, Service};

use crate::{Settings, load::Progress};

pub use catalog::{Catalog, bundle_in_use};
pub use clients::{Embedding, Reranking, Retrieval, Scoring};
pub use embedding::{encode_catalog, fill_records, remote_embedding, start as start_embedding};
pub use metrics::{RoleMetrics, watch_bodies};
pub use open_inference::ServedNow;
pub use reranking::{remote_reranking, start as start_reranking};
pub use retrieval::{remote_retrieval, start as start_retrieval};
pub use scoring::{remote_scoring, start as start_scoring};
pub use store::{open as open_store, open_measured};
pub use threads::Threads;

/// What the roles of a process share.
pub struct Node {
    /// The settings in force.
    pub settings: Settings,
    /// Items, users, events and vectors.
    pub store: Arc<dyn Store>,
    /// Where metrics are registered.
    pub metrics: Metrics,
    /// Those of the roles.
    pub roles: RoleMetrics,
    /// What readiness asks.
    pub health: Health,
    /// What the bodies of requests in flight may take, in the whole process.
    pub bodies: BodyMemory,
    /// Where progress is shown.
    pub progress: Progress,
    /// What actors run on.
    pub threads: Threads,
    /// Whose graphs are served by another protocol, where they are.
    pub open_inference: ServedNow,
}

/// The model, for the roles that run graphs.
pub struct Model {
    /// The bundle, checked.
    pub bundle: Arc<Bundle>,
    /// ONNX Runtime.
    pub library: Library,
    /// Name of its folder among the models; none for the bundle of the settings.
    pub folder: Option<String>,
}

impl Model {
    /// Loads the library and opens the bundle that the settings name.
    ///
    /// # Errors
    /// When either cannot be used.
    pub fn open(settings: &Settings) -> Result<Self> {
        Self::open_folder(settings, None)
    }

    /// The same with the bundle in a folder among the models, where one is named.
    ///
    /// # Errors
    /// When either cannot be used, or the settings name no folder of models.
    pub fn open_folder(settings: &Settings, folder: Option<&str>) -> Result<Self> {
        let library = Library::load(settings.onnxruntime.library.as_deref().map(Path::new))?;
        let (path, named) = match folder {
            None => (settings.bundle.path.clone(), "bundle.path"),
            Some(folder) => {
                let models = settings.models.folder.as_ref().context("models.folder is not set")?;
                (models.join(folder), "models.folder")
            }
        };
        let bundle = Bundle::open(&path)
            .with_context(|| format!("the bundle {} ({named}) is refused", path.display()))?;
        Ok(Self { bundle: Arc::new(bundle), library, folder: folder.map(str::to_owned) })
    }

    /// Has each graph look up the largest ids that it will be given; what another server runs is left to it.
    ///
    /// # Errors
    /// When a graph has no row for one, as where a vocabulary is longer than the embedding table.
    pub fn check_lookups(&self, features: &FeatureEncoder, settings: &Settings) -> Result<()> {
        let here = |graph: &GraphName| match graph {
            GraphName::Unified | GraphName::Idrec => settings.scoring.open_inference.url.is_empty(),
            _ => true,
        };
        let graphs: Vec<GraphName> =
            self.bundle.manifest().graphs.keys().copied().filter(here).collect();
        check_lookups(&self.bundle, features, &self.library, &graphs)
            .with_context(|| format!("the bundle {} is refused", self.bundle.version()))
    }
}

impl Node {
    /// A node without services yet.
    #[must_use]
    pub fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        metrics: Metrics,
        bodies: BodyMemory,
        progress: Progress,
    ) -> Self {
        let (health, threads) = (Health::new(), Threads::default());
        let roles = RoleMetrics::register(&metrics);
        let open_inference = ServedNow::default();
        Self { settings, store, metrics, roles, health, bodies, progress, threads, open_inference }
    }

    /// Starts a service as an actor on a thread of its own, watched by readiness and metrics. Calls
    /// that only read run where their callers do.
    fn run<S>(&self, name: &'static str, logic: Arc<S>, max_in_flight: usize) -> Result<Local<S>>
    where
        S: Send + Sync + Unpin + 'static,
    {
        let max_in_flight = max_in_flight.try_into().context("max_in_flight is 0")?;
        let options = LocalOptions { name, max_in_flight };
        let local = Local::start(logic, &options, &self.threads.start());
        let watched = local.clone();
        self.health.probe(name, move || {
            let alive = watched.alive();
            async move { if alive { Ok(()) } else { Err("its actor is gone".to_owned()) } }
        });
        self.roles.actor(name, local.clone());
        Ok(local)
    }

    /// A client of a role in other processes.
    fn remote(&self, role: &'static str, urls: &[String]) -> Result<Remote> {
        let peers = self.settings.peers.clone();
        let token = peers.token_file.as_deref().map(RoleToken::watch).transpose();
        let token = token.map_err(anyhow::Error::msg)?;
        let base_urls = urls.to_vec();
        let remote = Remote::new(&RemoteOptions { name: role, base_urls, peers, token })?;
        let known = remote.clone();
        self.roles.endpoints(role, move || known.endpoints());
        Ok(remote)
    }
}

/// Erases where a service runs.
fn client<C: plugrank_contract::Call>(service: impl Service<C>) -> plugrank_transport::Client<C> {
    Arc::new(service)
}
