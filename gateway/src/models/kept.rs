//! Which models there are, for every gateway of a store and for a restart: a document of the store.
//!
//! The gateway that loads, activates or removes a model changes the document; the other gateways do the
//! same within [`FOLLOW_EVERY`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use plugrank_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use super::{ModelError, Models, Other, REMOTE, ServingModel};

/// Name of the document.
const DOCUMENT: &str = "models";
/// Tries before a writer gives way to others.
const TRIES: usize = 10;
/// How often the document is looked at.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// The models that are active and ready in the gateways of a store.
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

/// What happened to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeptChange {
    /// It is ready.
    Ready(KeptModel),
    /// It answers.
    Active(KeptModel),
    /// It was removed or withdrawn.
    Gone(String),
}

impl KeptModels {
    /// What the store has; nothing in a fresh one.
    ///
    /// # Errors
    /// When the store cannot be read, or holds something else; for people.
    pub async fn read(store: &Arc<dyn Store>) -> Result<Self, String> {
        Ok(Self::revision(store).await.map_err(|error| error.to_string())?.1)
    }

    async fn revision(store: &Arc<dyn Store>) -> Result<(u64, Self), StoreError> {
        let Some(document) = store.document(DOCUMENT).await? else {
            return Ok((0, Self::default()));
        };
        let kept = serde_json::from_slice(&document.bytes).map_err(|error| {
            StoreError::Corrupt(format!("the document {DOCUMENT:?} of the store: {error}"))
        })?;
        Ok((document.revision, kept))
    }

    fn all(&self) -> impl Iterator<Item = &KeptModel> {
        self.active.iter().chain(&self.beside)
    }

    fn apply(&mut self, change: &KeptChange) {
        match change {
            KeptChange::Ready(model) if self.all().any(|known| known == model) => {}
            KeptChange::Ready(model) => {
                self.beside.retain(|known| known.version != model.version);
                self.beside.push(model.clone());
            }
            KeptChange::Active(model) if self.active.as_ref() == Some(model) => {}
            KeptChange::Active(model) => {
                self.beside.retain(|known| known.version != model.version);
                self.beside.extend(self.active.replace(model.clone()));
            }
            KeptChange::Gone(version) => self.beside.retain(|known| known.version != *version),
        }
    }
}

impl From<&ServingModel> for KeptModel {
    fn from(model: &ServingModel) -> Self {
        Self { version: model.version.clone(), folder: model.folder.clone() }
    }
}

impl Models {
    /// Makes a ready model the active one, here and, within a second, in every gateway of the store.
    pub(crate) async fn activate_everywhere(&self, version: &str) -> Result<(), KeepError> {
        let _turn = self.keeping.lock().await;
        let before = KeptModel::from(&*self.active());
        self.activate(version)?;
        let active = KeptModel::from(&*self.active());
        self.keep(before, &[KeptChange::Active(active)]).await?;
        Ok(())
    }

    /// Removes a model that is not active, here and, within a second, in every gateway of the store.
    pub(crate) async fn remove_everywhere(&self, version: &str) -> Result<(), KeepError> {
        let _turn = self.keeping.lock().await;
        let active = KeptModel::from(&*self.active());
        self.remove(version)?;
        self.keep(active, &[KeptChange::Gone(version.to_owned())]).await?;
        Ok(())
    }

    /// Writes what happened to models, in the background.
    pub(super) fn keep_later(self: &Arc<Self>, active: KeptModel, changes: Vec<KeptChange>) {
        let models = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = models.keeping.lock().await;
            if let Err(error) = models.keep(active, &changes).await {
                tracing::warn!(%error, "which models there are is not stored; others do not know");
            }
        });
    }

    /// Writes what happened to models; `active` was the active one before, where the document does not say.
    async fn keep(&self, active: KeptModel, changes: &[KeptChange]) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let (revision, mut kept) = KeptModels::revision(&self.store).await?;
            if kept.active.is_none() && active.version != REMOTE {
                kept.active = Some(active.clone());
            }
            changes.iter().for_each(|change| kept.apply(change));
            let bytes = serde_json::to_vec(&kept)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            if self.store.put_document(DOCUMENT, bytes, revision).await?.is_some() {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("others wrote which models there are, every time".to_owned()))
    }

    /// Does what the document says, in turns: at first what was before a restart, then what other gateways
    /// did. Ends only by being dropped.
    pub(crate) async fn follow(self: Arc<Self>) {
        if self.loader.is_none() {
            return;
        }
        let mut ticks = interval(FOLLOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut listed, mut silent) = (None, BTreeSet::new(), false);
        loop {
            ticks.tick().await;
            self.name_remote().await;
            let (revision, kept) = match KeptModels::revision(&self.store).await {
                Ok(found) => found,
                Err(error) => {
                    if !std::mem::replace(&mut silent, true) {
                        tracing::warn!(%error, "it is not known which models other gateways have");
                    }
                    continue;
                }
            };
            silent = false;
            if seen != Some(revision) {
                self.load_listed(&kept).await;
                seen = self.take_up_listed(&mut listed).await;
            }
        }
    }

    /// Loads what the document lists and this gateway does not have, one after another.
    async fn load_listed(self: &Arc<Self>, kept: &KeptModels) {
        for model in kept.all() {
            let version = &model.version;
            if self.active().version == *version || self.others.lock().contains_key(version) {
                continue;
            }
            match self.load(model.folder.as_deref()).await {
                // Whether it was loaded is in its state.
                Ok((_, loading)) => drop(loading.await),
                Err(ModelError::Known(_)) => {}
                Err(error) => {
                    tracing::warn!(version, %error, "a model that is listed in the store is not loaded");
                }
            }
        }
    }

    /// Activates what is active by the document now, and removes what it lists no longer; its revision.
    async fn take_up_listed(&self, listed: &mut BTreeSet<String>) -> Option<u64> {
        let _turn = self.keeping.lock().await;
        let (revision, kept) = KeptModels::revision(&self.store).await.ok()?;
        if let Some(active) = &kept.active
            && self.active().version != active.version
            && let Err(error) = self.activate(&active.version)
        {
            tracing::warn!(version = active.version, %error, "not active here, though the shared document says so");
        }
        let now: BTreeSet<String> = kept.all().map(|model| model.version.clone()).collect();
        for version in listed.difference(&now) {
            let ready = matches!(self.others.lock().get(version), Some(Other::Ready(_)));
            if ready && let Err(error) = self.remove(version) {
                tracing::warn!(version, %error, "not removed here, though the shared document says so");
            }
        }
        *listed = now;
        Some(revision)
    }

    /// Learns which model the roles have, where they did not answer at the start.
    async fn name_remote(self: &Arc<Self>) {
        let (REMOTE, Some(loader)) = (&*self.active().version, &self.loader) else { return };
        let Ok(opened) = loader.open(None).await else { return };
        if let Ok(model) = opened.start().await {
            let _turn = self.keeping.lock().await;
            if self.active().version == REMOTE {
                self.swap(Arc::new(model));
            }
        }
    }
}

/// Why a change was not made everywhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// It was not made at all.
    #[error(transparent)]
    Refused(#[from] ModelError),
    /// It was made here, and the others cannot be told.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(version: &str) -> KeptModel {
        KeptModel { version: version.to_owned(), folder: Some(format!("of-{version}")) }
    }

    #[test]
    fn changes_of_model_state_are_recorded() {
        let mut kept = KeptModels { active: Some(model("1")), beside: Vec::new() };
        kept.apply(&KeptChange::Ready(model("2")));
        kept.apply(&KeptChange::Ready(model("2")));
        assert_eq!(
            (kept.active.clone(), kept.beside.clone()),
            (Some(model("1")), vec![model("2")])
        );
        kept.apply(&KeptChange::Active(model("2")));
        assert_eq!(
            (kept.active.clone(), kept.beside.clone()),
            (Some(model("2")), vec![model("1")])
        );
        let moved = KeptModel { folder: None, ..model("1") };
        kept.apply(&KeptChange::Ready(moved.clone()));
        assert_eq!(kept.beside, [moved]);
        kept.apply(&KeptChange::Gone("1".to_owned()));
        kept.apply(&KeptChange::Gone("2".to_owned()));
        assert_eq!((kept.active, kept.beside), (Some(model("2")), Vec::new()));
    }
}
