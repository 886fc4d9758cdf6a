//! Models beside the one a process began with: opened, checked against memory, and started on a thread of
//! their own.

mod memory;
mod options;

use std::{path::PathBuf, sync::Arc};

use anyhow::Result;
use async_trait::async_trait;
use plugrank_body::BodyMemory;
use plugrank_gateway::{LoadModel, ModelLoadProgress, OpenedModel, ProgressReader, ServingModel};
use plugrank_runtime::Metrics;
use plugrank_store::Store;
use tokio::sync::oneshot;

pub use options::ModelsOptions;

use crate::{
    Settings,
    load::Progress,
    wiring::{self, Model, Node, Threads, options::snapshot_folder},
};

/// Loads bundles out of the folder of models.
pub struct Loader {
    folder: PathBuf,
    settings: Settings,
    store: Arc<dyn Store>,
    bodies: BodyMemory,
    /// The actor system, in which services are started.
    system: actix::System,
}

impl Loader {
    /// The loader of a process that has every role; none where a role is elsewhere, or the settings name
    /// no folder of models.
    ///
    /// # Panics
    /// Outside an actix system.
    #[must_use]
    pub fn of_process(
        settings: &Settings,
        store: &Arc<dyn Store>,
        bodies: &BodyMemory,
    ) -> Option<Arc<dyn LoadModel>> {
        let folder = settings.models.folder.clone()?;
        let peers = &settings.peers;
        let urls =
            [&peers.embedding_url, &peers.retrieval_url, &peers.scoring_url, &peers.reranking_url];
        urls.iter().all(|urls| urls.is_empty()).then(|| {
            let (settings, store) = (settings.clone(), Arc::clone(store));
            let bodies = bodies.clone();
            Arc::new(Self { folder, settings, store, bodies, system: actix::System::current() })
                as _
        })
    }
}

#[async_trait]
impl LoadModel for Loader {
    async fn open(&self, name: &str) -> Result<Box<dyn OpenedModel>, String> {
        let mut settings = self.settings.clone();
        settings.bundle.path = self.folder.join(name);
        let items = self.store.item_count().await.map_err(|error| error.to_string())?;
        let (store, bodies, system) =
            (Arc::clone(&self.store), self.bodies.clone(), self.system.clone());
        let opened = tokio::task::spawn_blocking(move || -> Result<Opened> {
            let model = Model::open(&settings)?;
            memory::check(&model.bundle, items)?;
            Ok(Opened { model, settings, store, bodies, system, progress: Progress::hidden() })
        });
        let opened = opened.await.map_err(|error| error.to_string())?;
        Ok(Box::new(opened.map_err(|error| format!("{error:#}"))?))
    }
}

/// A bundle that was checked.
struct Opened {
    model: Model,
    settings: Settings,
    store: Arc<dyn Store>,
    bodies: BodyMemory,
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

    /// On a thread of the model's own, which also runs its background tasks and ends with it.
    async fn start(self: Box<Self>) -> Result<ServingModel, String> {
        let (tell, told) = oneshot::channel();
        let system = self.system.clone();
        system.arbiter().spawn_fn(move || {
            let threads = Threads::default();
            threads.start().spawn_fn(move || {
                actix::spawn(async move {
                    let started = self.serve(threads).await;
                    // Whoever asked is gone only when the process ends.
                    let _ = tell.send(started.map_err(|error| format!("{error:#}")));
                });
            });
        });
        told.await.unwrap_or_else(|_| Err("loading was cut short".to_owned()))
    }
}

impl Opened {
    async fn serve(self, threads: Threads) -> Result<ServingModel> {
        let Self { model, mut settings, store, bodies, progress, .. } = self;
        // Snapshots are of one bundle; this one's lie in a folder beside those of the first.
        let snapshot = &mut settings.retrieval.snapshot.path;
        let version = blake3::hash(model.bundle.version().as_bytes()).to_hex();
        *snapshot = snapshot_folder(snapshot.as_deref(), &settings.store)
            .map(|folder| folder.join(format!("model-{}", &version[..16])));
        let node =
            Node { threads, ..Node::new(settings, store, Metrics::of_part(), bodies, progress) };
        Ok(wiring::serving::start(&node, &model).await?.serving)
    }
}
