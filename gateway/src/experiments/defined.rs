//! Experiments that the settings define: written to the store when they are new or have another wording.

use std::{collections::BTreeMap, sync::Arc};

use plugrank_experiments::Definitions;
use plugrank_store::Store;

use super::{Experiments, WriteError, write::put_experiment};
use crate::validate;

/// Document of the store with the wordings that were written out of settings, by name.
const DOCUMENT: &str = "experiments-settings";
/// Cause of what is written so, in the history of an experiment.
const CAUSE: &str = "settings";

impl Experiments {
    /// Writes the experiments of the settings that are not in the store as they are worded now. What cannot be written
    /// is logged, and what runs stays.
    ///
    /// # Errors
    /// When it is to be tried again: the store does not answer, or others write at the same time.
    pub(crate) async fn define(&self, store: &Arc<dyn Store>) -> Result<(), String> {
        let options = self.options();
        if self.defined.lock().as_ref().is_some_and(|done| Arc::ptr_eq(done, &options)) {
            return Ok(());
        }
        // Settings are checked before they come here.
        let wanted = options.definitions().unwrap_or_default();
        if !wanted.experiments.is_empty() {
            self.write_wanted(store, &wanted).await?;
        }
        *self.defined.lock() = Some(options);
        Ok(())
    }

    async fn write_wanted(
        &self,
        store: &Arc<dyn Store>,
        wanted: &Definitions,
    ) -> Result<(), String> {
        let document = store.document(DOCUMENT).await.map_err(|error| error.to_string())?;
        let revision = document.as_ref().map_or(0, |document| document.revision);
        // One that cannot be read is written anew.
        let mut written: BTreeMap<String, String> = document
            .and_then(|document| serde_json::from_slice(&document.bytes).ok())
            .unwrap_or_default();
        let before = written.clone();
        for experiment in &wanted.experiments {
            let name = &experiment.name;
            let Some(layer) = wanted.layers.iter().find(|layer| layer.name == experiment.layer)
            else {
                continue;
            };
            let wording = serde_json::to_string(&(layer, experiment));
            let wording = wording.map_err(|error| error.to_string())?;
            if written.get(name) == Some(&wording) {
                continue;
            }
            let when = (validate::now_ms(), CAUSE);
            let done = self.write(store, when, |definitions| {
                match definitions.layers.iter_mut().find(|known| known.name == layer.name) {
                    Some(known) => known.clone_from(layer),
                    None => definitions.layers.push(layer.clone()),
                }
                put_experiment(definitions, experiment.clone());
                Ok(())
            });
            match done.await {
                Ok(()) => _ = written.insert(name.clone(), wording),
                Err(error @ (WriteError::Store(_) | WriteError::Busy)) => {
                    return Err(error.to_string());
                }
                Err(error) => tracing::error!(
                    experiment = name,
                    %error,
                    "an experiment of the settings (experiments.defined) is not written; what runs stays"
                ),
            }
        }
        if written == before {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&written).map_err(|error| error.to_string())?;
        match store.put_document(DOCUMENT, bytes, revision).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("others wrote them at the same time".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}
