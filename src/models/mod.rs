//! Models beside the one a process began with: opened, checked against memory, and started on a thread of
//! their own.

mod about;
pub mod apart;
mod begin;
mod folder;
mod memory;
mod options;
mod role;
mod role_calls;

use std::{path::PathBuf, sync::Arc};

use anyhow::Result;
use async_trait::async_trait;
use plugrank_background::beside;
use plugrank_body::BodyMemory;
use plugrank_gateway::{
    BundleFolder, LoadModel, ModelLoadProgress, OpenedModel, ProgressReader, ServingModel,
};
use plugrank_runtime::Metrics;
use plugrank_store::Store;
use tokio::sync::oneshot;

pub use about::role_routes;
pub use begin::{begin, begin_role};
pub use options::ModelsOptions;
pub use role::{Named, RoleCalls, RoleModels, RoleProcess};
pub use role_calls::{EmbeddingRole, RetrievalRole, ScoringRole};

use crate::{
    Settings,
    load::Progress,
    wiring::{self, Model, Node, ServedNow, Threads, options::snapshot_folder},
};

/// Loads bundles out of the folder of models.
pub struct Loader {
    folder: PathBuf,
    settings: Settings,
    store: Arc<dyn Store>,
    bodies: BodyMemory,
    /// What a model serves by another protocol while it is active.
    open_inference: ServedNow,
    /// The actor system, in which services are started.
    system: actix::System,
}

impl Loader {
    /// The loader of a process that has every role; none where a role is in another process, or the
    /// settings name no folder of models.
    ///
    /// # Panics
    /// Outside an actix system.
    #[must_use]
    pub fn of_process(
        settings: &Settings,
        store: &Arc<dyn Store>,
        bodies: &BodyMemory,
        open_inference: &ServedNow,
    ) -> Option<Arc<dyn LoadModel>> {
        let folder = settings.models.folder.clone()?;
        let peers = &settings.peers;
        let urls =
            [&peers.embedding_url, &peers.retrieval_url, &peers.scoring_url, &peers.reranking_url];
        urls.iter().all(|urls| urls.is_empty()).then(|| {
            let (settings, store) = (settings.clone(), Arc::clone(store));
            let (bodies, open_inference) = (bodies.clone(), open_inference.clone());
            let system = actix::System::current();
            Arc::new(Self { folder, settings, store, bodies, open_inference, system }) as _
        })
    }
}

#[async_trait]
impl LoadModel for Loader {
    async fn open(&self, folder: Option<&str>) -> Result<Box<dyn OpenedModel>, String> {
        let (settings, folder) = (self.settings.clone(), folder.map(str::to_owned));
        let items = self.store.item_count().await.map_err(|error| error.to_string())?;
        let (store, bodies, system) =
            (Arc::clone(&self.store), self.bodies.clone(), self.system.clone());
        let open_inference = self.open_inference.clone();
        let opened = tokio::task::spawn_blocking(move || -> Result<Opened> {
            let model = beside(|| Model::open_folder(&settings, folder.as_deref()))?;
            memory::check(&model.bundle, items)?;
            let progress = Progress::hidden();
            Ok(Opened { model, settings, store, bodies, open_inference, system, progress })
        });
        let opened = opened.await.map_err(|error| error.to_string())?;
        Ok(Box::new(opened.map_err(|error| format!("{error:#}"))?))
    }

    async fn folders(&self) -> Result<Vec<BundleFolder>, String> {
        let path = self.folder.clone();
        let found = tokio::task::spawn_blocking(move || folder::bundles(&path));
        let found = found.await.map_err(|error| error.to_string())?;
        found.map_err(|error| format!("{} (models.folder): {error}", self.folder.display()))
    }
}

/// A bundle that was checked.
struct Opened {
    model: Model,
    settings: Settings,
    store: Arc<dyn Store>,
    bodies: BodyMemory,
    open_inference: ServedNow,
    system: actix::System,
    progress: Progress,
}

#[async_trait]
impl OpenedModel for Opened {
    fn version(&self) -> &str {
        self.model.bundle.version()
    }

    fn progress(&self) -> ProgressReader {
        let progress = self.progress.clone();
        Arc::new(move || {
            let (phase, done, of) = progress.present().unwrap_or_default();
            ModelLoadProgress { phase, done, of }
        })
    }

    async fn start(self: Box<Self>) -> Result<ServingModel, String> {
        let system = self.system.clone();
        own_threads(&system, move |threads| self.serve(threads)).await
    }
}

/// Runs `start` on a thread of a model's own, which also runs its background tasks and ends with it.
async fn own_threads<R, S>(
    system: &actix::System,
    start: impl FnOnce(Threads) -> S + Send + 'static,
) -> Result<R, String>
where
    R: Send + 'static,
    S: Future<Output = Result<R>> + 'static,
{
    let (tell, told) = oneshot::channel();
    system.arbiter().spawn_fn(move || {
        let threads = Threads::default();
        threads.start().spawn_fn(move || {
            actix::spawn(async move {
                let started = start(threads).await;
                // The caller is gone only when the process ends.
                let _ = tell.send(started.map_err(|error| format!("{error:#}")));
            });
        });
    });
    told.await.unwrap_or_else(|_| Err("loading was cut short".to_owned()))
}

impl Opened {
    async fn serve(self: Box<Self>, threads: Threads) -> Result<ServingModel> {
        let Self { model, mut settings, store, bodies, open_inference, progress, .. } = *self;
        own_snapshots(&mut settings, model.bundle.version());
        let node = Node::new(settings, store, Metrics::of_part(), bodies, progress);
        let node = Node { threads, open_inference, ..node };
        Ok(wiring::serving::start(&node, &model).await?.serving)
    }
}

/// Snapshots are of one bundle: those of a model that is not the settings' lie in a folder beside.
fn own_snapshots(settings: &mut Settings, version: &str) {
    let snapshot = &mut settings.retrieval.snapshot.path;
    let version = blake3::hash(version.as_bytes()).to_hex();
    *snapshot = snapshot_folder(snapshot.as_deref(), &settings.store)
        .map(|folder| folder.join(format!("model-{}", &version[..16])));
}
