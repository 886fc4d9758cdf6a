//! Loading a model beside those that answer.

use std::sync::{Arc, atomic::Ordering};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::{KeptModel, ModelError, Models, Other, ServingModel, kept::KeptChange};

/// Makes a model of a bundle's folder. The gateway knows neither bundles nor graphs: the program that
/// starts it does.
#[async_trait]
pub trait LoadModel: Send + Sync {
    /// Reads and checks what is in a folder, by the name it has in the folder of models; none for the
    /// bundle that the settings name. Quick.
    ///
    /// # Errors
    /// Why it cannot be loaded, for people: it is no bundle, or does not fit in memory.
    async fn open(&self, folder: Option<&str>) -> Result<Box<dyn OpenedModel>, String>;

    /// The whole bundles in the folder of models; one that is still being copied is none.
    ///
    /// # Errors
    /// When the folder cannot be read, for people.
    async fn folders(&self) -> Result<Vec<BundleFolder>, String>;
}

/// A bundle in the folder of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFolder {
    /// Its name.
    pub name: String,
    /// Changes with what is in it.
    pub mark: u64,
}

/// A bundle that was checked.
#[async_trait]
pub trait OpenedModel: Send {
    /// Its version.
    fn version(&self) -> &str;
    /// Tells, whenever it is asked, how far [`Self::start`] is.
    fn progress(&self) -> ProgressReader;
    /// Starts the services over it: reads the catalog, encodes it, warms every graph. May take long.
    ///
    /// # Errors
    /// Why it cannot be served, for people.
    async fn start(self: Box<Self>) -> Result<ServingModel, String>;
}

/// Reads how far loading is.
pub type ProgressReader = Arc<dyn Fn() -> ModelLoadProgress + Send + Sync>;

/// How far loading is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelLoadProgress {
    /// What is done now: `items` are read, then `encoding`, `indexing`, `warming`.
    pub phase: String,
    /// Rows of it that are done.
    pub done: u64,
    /// Rows there are; 0 while that is unknown.
    pub of: u64,
}

const NO_FOLDER: &str = "no folder of models is set (models.folder), or some roles run here and others in other \
                         processes, where a model is changed by starting them with another bundle";

impl Models {
    /// Begins to load the bundle in a folder, or that of the settings; answers its version, and what ends
    /// when it is ready or has failed.
    pub(crate) async fn load(
        self: &Arc<Self>,
        folder: Option<&str>,
    ) -> Result<(String, JoinHandle<()>), ModelError> {
        let loader = self.loader.as_ref().ok_or(ModelError::NoLoader(NO_FOLDER))?;
        let opened = loader.open(folder).await.map_err(ModelError::Refused)?;
        let version = opened.version().to_owned();
        let progress = opened.progress();
        {
            let mut others = self.others.lock();
            let known = others.get(&version);
            if self.active().version == version
                || matches!(known, Some(Other::Ready(_) | Other::Loading(_)))
            {
                return Err(ModelError::Known(version));
            }
            let not_failed = |other: &&Other| !matches!(other, Other::Failed(_));
            let loaded = 1 + others.values().filter(not_failed).count();
            if loaded >= self.max_loaded.load(Ordering::Relaxed) {
                return Err(ModelError::TooMany(loaded));
            }
            others.insert(version.clone(), Other::Loading(progress));
        }
        let (models, loaded) = (Arc::clone(self), version.clone());
        // Goes on even if the request that asked for it is gone.
        let loading = tokio::spawn(async move {
            let begun = tokio::time::Instant::now();
            let state = match opened.start().await {
                Ok(model) => {
                    let seconds = begun.elapsed().as_secs_f64();
                    tracing::info!(version = loaded, seconds, "a model is loaded");
                    Other::Ready(Arc::new(model))
                }
                Err(reason) => {
                    tracing::error!(version = loaded, reason, "a model cannot be loaded");
                    Other::Failed(reason)
                }
            };
            let ready = match &state {
                Other::Ready(model) => Some(KeptModel::from(&**model)),
                _ => None,
            };
            models.others.lock().insert(loaded, state);
            if let Some(ready) = ready {
                let active = KeptModel::from(&*models.active());
                models.keep_later(active, vec![KeptChange::Ready(ready)]);
            }
        });
        Ok((version, loading))
    }
}
