//! Which models a restart finds again: a document of the store.

use std::sync::Arc;

use plugrank_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{Models, Other, REMOTE, ServingModel};

/// Name of the document.
const DOCUMENT: &str = "models";
/// Tries before a writer gives way to others.
const TRIES: usize = 5;

/// The models that were active and ready when one was last loaded, activated or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptModels {
    /// The active one; none where no model was ever loaded, activated or removed.
    pub active: Option<KeptModel>,
    /// The others.
    pub beside: Vec<KeptModel>,
}

/// Where a model is to be found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptModel {
    /// Its version: another one in the folder is another model.
    pub version: String,
    /// Name of its folder among the models; none for the bundle of the settings (`bundle.path`).
    pub folder: Option<String>,
}

impl KeptModels {
    /// What the store has; nothing in a fresh one.
    ///
    /// # Errors
    /// When the store cannot be read, or holds something else; for people.
    pub async fn read(store: &Arc<dyn Store>) -> Result<Self, String> {
        let document = store.document(DOCUMENT).await.map_err(|error| error.to_string())?;
        let Some(document) = document else { return Ok(Self::default()) };
        serde_json::from_slice(&document.bytes)
            .map_err(|error| format!("the document {DOCUMENT:?} of the store: {error}"))
    }
}

impl From<&ServingModel> for KeptModel {
    fn from(model: &ServingModel) -> Self {
        Self { version: model.version.clone(), folder: model.folder.clone() }
    }
}

impl Models {
    /// Writes which models there are now.
    pub(crate) async fn keep(&self) -> Result<(), StoreError> {
        let _last = self.keeping.lock().await;
        for _ in 0..TRIES {
            let revision = self.store.document(DOCUMENT).await?.map_or(0, |known| known.revision);
            let bytes = serde_json::to_vec(&self.kept())
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            if self.store.put_document(DOCUMENT, bytes, revision).await?.is_some() {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("others wrote which models there are, every time".to_owned()))
    }

    /// The same, where nobody waits for it.
    pub(super) fn keep_later(self: &Arc<Self>) {
        let models = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = models.keep().await {
                tracing::warn!(%error, "which models there are is not stored; a restart does not know");
            }
        });
    }

    fn kept(&self) -> KeptModels {
        let others = self.others.lock();
        let ready = others.values().filter_map(|other| match other {
            Other::Ready(model) => Some(KeptModel::from(&**model)),
            Other::Loading(_) | Other::Failed(_) => None,
        });
        KeptModels { active: Some(KeptModel::from(&*self.active())), beside: ready.collect() }
    }

    /// Loads what was ready beside the active model before a restart, one after another.
    pub(crate) async fn bring_back(self: Arc<Self>) {
        if self.loader.is_none() || self.active().version == REMOTE {
            return;
        }
        let kept = match KeptModels::read(&self.store).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(error, "it is not known which models were loaded before");
                return;
            }
        };
        for model in kept.active.into_iter().chain(kept.beside) {
            if self.active().version == model.version {
                continue;
            }
            match self.load(model.folder.as_deref()).await {
                // Whether it was loaded is in its state.
                Ok((_, loading)) => drop(loading.await),
                Err(error) => {
                    let version = model.version;
                    tracing::warn!(version, %error, "a model of before the restart is not loaded");
                }
            }
        }
    }
}
