//! Keeping to the definitions in the store.

use std::sync::Arc;

use plugrank_experiments::Definitions;
use plugrank_store::{Document, Store, StoreError};
use tokio::time::sleep;

use super::{DOCUMENT, Experiments, Running, change};

/// Reads the definitions now and then; ends only by being dropped.
pub(crate) async fn follow(experiments: Arc<Experiments>, store: Arc<dyn Store>) {
    // Logged when it begins, not at each turn.
    let mut failing = false;
    loop {
        sleep(experiments.options().follow_every()).await;
        let kept = match experiments.read(&store).await {
            Ok(()) => experiments.define(&store).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::warn!(
                        error,
                        "the experiments cannot be read, or those of the settings not be written; those before stay \
                         in force"
                    );
                }
                failing = true;
            }
        }
    }
}

impl Experiments {
    /// Puts the stored definitions into force, where they are newer.
    pub(crate) async fn read(&self, store: &Arc<dyn Store>) -> Result<(), String> {
        let document = load(store).await.map_err(|error| error.to_string())?;
        let Some(document) = document else { return Ok(()) };
        if document.revision == self.running.load().revision {
            return Ok(());
        }
        let definitions = parse(&document)?;
        self.put_into_force(definitions, document.revision);
        Ok(())
    }

    pub(super) fn put_into_force(&self, definitions: Definitions, revision: u64) {
        let names: Vec<&str> =
            definitions.experiments.iter().map(|experiment| experiment.name.as_str()).collect();
        tracing::info!(revision, experiments = names.join(","), "experiments are in force");
        self.running.store(Arc::new(Running::new(definitions, revision)));
    }
}

pub(super) async fn load(store: &Arc<dyn Store>) -> Result<Option<Document>, StoreError> {
    store.document(DOCUMENT).await
}

/// The definitions of a document: checked again, as another version may have written it.
pub(super) fn parse(document: &Document) -> Result<Definitions, String> {
    let json = serde_json::from_slice(&document.bytes)
        .map_err(|error| format!("the stored definitions are no JSON: {error}"))?;
    let definitions = Definitions::from_json(json).map_err(|problems| problems.to_string())?;
    match change::check(&definitions).first() {
        None => Ok(definitions),
        Some(error) => Err(format!("{}: {}", error.field, error.detail)),
    }
}
