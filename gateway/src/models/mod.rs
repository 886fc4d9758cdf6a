//! Models side by side: one is active and answers, others are loaded, loading, or failed.
//!
//! A request takes the active model on entry and keeps it to the end, so no answer mixes two.
//! Activation changes which model the next request takes; the model before stays loaded, so that going
//! back is as quick. For its first requests a newly activated model is on trial ([`trial`]): what it
//! cannot answer is answered by the model before, and after a few such requests that one is active again.
//! So is a model that only answers for an experiment's arm, as long as it does. Which models there are is
//! kept in the store ([`kept`]), so that a restart finds them again and every gateway of the store has the same.

mod kept;
mod load;
mod serving;
pub(crate) mod shadow;
mod trial;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use plugrank_runtime::{Health, Metrics};
use plugrank_store::Store;

pub(crate) use kept::KeepError;
use kept::KeptChange;
pub use kept::{KeptModel, KeptModels};
pub use load::{BundleFolder, LoadModel, ModelLoadProgress, OpenedModel, ProgressReader};
pub use serving::{Clients, ServingModel};
pub(crate) use trial::Trial;

/// Name of a model whose roles run in other processes, while it is not known what they serve.
pub const REMOTE: &str = "remote";

/// The models of a gateway.
pub(crate) struct Models {
    active: ArcSwap<ServingModel>,
    /// All but the active one, by version.
    others: Mutex<BTreeMap<String, Other>>,
    trial: Trial,
    loader: Option<Arc<dyn LoadModel>>,
    max_loaded: AtomicUsize,
    /// Where which models there are is kept.
    store: Arc<dyn Store>,
    /// Held while that changes here and there, so that it stays the same in both.
    keeping: tokio::sync::Mutex<()>,
    /// Where the active model's metrics are shown.
    metrics: Metrics,
    /// Where its checks are asked.
    health: Health,
}

/// A model that does not answer.
enum Other {
    Loading(ProgressReader),
    Ready(Arc<ServingModel>),
    Failed(String),
}

/// State of a model, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelState {
    Active,
    Ready,
    Loading(ModelLoadProgress),
    Failed(String),
}

/// Why a model cannot be loaded, activated or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("there is no model {0}")]
    Unknown(String),
    #[error("model {0} is active; activate another before removing it")]
    Active(String),
    #[error("model {0} is still loading")]
    Loading(String),
    #[error("model {version} cannot be activated: {reason}")]
    Failed { version: String, reason: String },
    #[error("model {0} is loaded already")]
    Known(String),
    #[error("{0} models are loaded or loading, as many as may be (models.max_loaded); remove one")]
    TooMany(usize),
    #[error("{0}")]
    NoLoader(&'static str),
    #[error("{0}")]
    Refused(String),
}

impl Models {
    pub(crate) fn new(
        active: ServingModel,
        loader: Option<Arc<dyn LoadModel>>,
        max_loaded: usize,
        store: Arc<dyn Store>,
        (metrics, health): (Metrics, Health),
    ) -> Self {
        metrics.show(&active.metrics);
        health.include(&active.health);
        active.on_active.iter().for_each(|told| told());
        Self {
            active: ArcSwap::from_pointee(active),
            others: Mutex::default(),
            trial: Trial::default(),
            loader,
            max_loaded: max_loaded.into(),
            store,
            keeping: tokio::sync::Mutex::default(),
            metrics,
            health,
        }
    }

    /// The model that answers a request that begins now.
    pub(crate) fn active(&self) -> Arc<ServingModel> {
        self.active.load_full()
    }

    /// The model of this version, where it is active or ready.
    pub(crate) fn ready(&self, version: &str) -> Option<Arc<ServingModel>> {
        let others = self.others.lock();
        let active = self.active();
        if active.version == version {
            return Some(active);
        }
        match others.get(version) {
            Some(Other::Ready(model)) => Some(Arc::clone(model)),
            _ => None,
        }
    }

    /// The active model and the others that are ready: those that are told of changed items and of events.
    pub(crate) fn all_ready(&self) -> (Arc<ServingModel>, Vec<Arc<ServingModel>>) {
        let others = self.others.lock();
        let ready = others.values().filter_map(|other| match other {
            Other::Ready(model) => Some(Arc::clone(model)),
            Other::Loading(_) | Other::Failed(_) => None,
        });
        (self.active(), ready.collect())
    }

    /// Sets how many models may be loaded or loading at a time. Those that are stay.
    pub(crate) fn set_max_loaded(&self, max_loaded: usize) {
        self.max_loaded.store(max_loaded, Ordering::Relaxed);
    }

    /// Every model and its state, the active one first.
    pub(crate) fn list(&self) -> Vec<(String, ModelState)> {
        let others = self.others.lock();
        let state = |other: &Other| match other {
            Other::Loading(progress) => ModelState::Loading(progress()),
            Other::Ready(_) => ModelState::Ready,
            Other::Failed(reason) => ModelState::Failed(reason.clone()),
        };
        let rest = others.iter().map(|(version, other)| (version.clone(), state(other)));
        std::iter::once((self.active().version.clone(), ModelState::Active)).chain(rest).collect()
    }

    /// Makes a ready model the active one. What was active stays ready. Activating the active one
    /// changes nothing.
    fn activate(&self, version: &str) -> Result<(), ModelError> {
        let mut others = self.others.lock();
        if self.active().version == version {
            return Ok(());
        }
        let model = match others.remove(version) {
            Some(Other::Ready(model)) => model,
            Some(other) => {
                let error = match &other {
                    Other::Failed(reason) => {
                        ModelError::Failed { version: version.to_owned(), reason: reason.clone() }
                    }
                    _ => ModelError::Loading(version.to_owned()),
                };
                others.insert(version.to_owned(), other);
                return Err(error);
            }
            None => return Err(ModelError::Unknown(version.to_owned())),
        };
        let before = self.swap(Arc::clone(&model));
        self.trial.forget_beside(version);
        tracing::info!(version, before = %before.version, "a model was activated");
        others.insert(before.version.clone(), Other::Ready(Arc::clone(&before)));
        self.trial.begin(&model, before);
        Ok(())
    }

    fn swap(&self, model: Arc<ServingModel>) -> Arc<ServingModel> {
        self.metrics.show(&model.metrics);
        self.health.include(&model.health);
        model.on_active.iter().for_each(|told| told());
        self.active.swap(model)
    }

    /// The model that answers what `model` cannot: the one before, while it is on trial; the active one,
    /// where `model` answers for an experiment's arm. None for a model that has nothing behind it.
    pub(crate) fn substitute(&self, model: &ServingModel) -> Option<Arc<ServingModel>> {
        match self.active.load().version == model.version {
            true => self.trial.before(model),
            false => Some(self.active()),
        }
    }

    /// Counts a request that a model with a substitute could not answer. After a few it has failed: the
    /// model before is active again, and arms that name it get the active one.
    pub(crate) fn broken(self: &Arc<Self>, model: &ServingModel, reason: &str) {
        let mut others = self.others.lock();
        let active = self.active();
        let was_active = active.version == model.version;
        let back_to = if was_active {
            let Some(before) = self.trial.broken(model) else { return };
            others.remove(&before.version);
            self.swap(Arc::clone(&before));
            before
        } else {
            let answers = matches!(others.get(&model.version), Some(Other::Ready(_)));
            if !answers || !self.trial.broken_beside(model) {
                return;
            }
            active
        };
        tracing::error!(
            version = %model.version,
            back_to = %back_to.version,
            reason,
            "a model was withdrawn: it could not answer requests"
        );
        let reason =
            format!("withdrawn after {} requests it could not answer: {reason}", trial::ALLOWED);
        others.insert(model.version.clone(), Other::Failed(reason));
        drop(others);
        let (back_to, gone) = (KeptModel::from(&*back_to), KeptChange::Gone(model.version.clone()));
        let changes = match was_active {
            true => vec![KeptChange::Active(back_to.clone()), gone],
            false => vec![gone],
        };
        self.keep_later(back_to, changes);
    }

    /// Why a model failed, where it did.
    pub(crate) fn withdrawn(&self, version: &str) -> Option<String> {
        match self.others.lock().get(version) {
            Some(Other::Failed(reason)) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Removes a model that is not active, or forgets that it failed. Requests that have it end with it.
    fn remove(&self, version: &str) -> Result<(), ModelError> {
        let mut others = self.others.lock();
        if self.active().version == version {
            return Err(ModelError::Active(version.to_owned()));
        }
        match others.get(version) {
            None => return Err(ModelError::Unknown(version.to_owned())),
            Some(Other::Loading(_)) => return Err(ModelError::Loading(version.to_owned())),
            Some(Other::Ready(_) | Other::Failed(_)) => others.remove(version),
        };
        self.trial.end_without(version);
        self.trial.forget_beside(version);
        tracing::info!(version, "a model was removed");
        Ok(())
    }
}
