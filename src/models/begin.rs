//! The model a process begins with: the one that was activated last, else that of the settings.

use std::sync::Arc;

use anyhow::{Result, ensure};
use plugrank_gateway::{KeptModel, KeptModels};
use plugrank_store::Store;

use super::own_snapshots;
use crate::{Settings, wiring::Model};

/// Opens the model that was active before a restart, where the store knows it and its folder still has it;
/// else the one of `bundle.path`. The settings become those it is served with.
///
/// # Errors
/// When the bundle of `bundle.path` cannot be used.
pub async fn begin(settings: &mut Settings, store: &Arc<dyn Store>) -> Result<Model> {
    let active = match KeptModels::read(store).await {
        Ok(kept) => kept.active,
        Err(error) => {
            tracing::warn!(error, "it is not known which model was active before");
            None
        }
    };
    let Some(KeptModel { version, folder: Some(folder) }) = active else {
        return Model::open(settings);
    };
    match open(settings, &version, &folder) {
        Ok(model) => {
            own_snapshots(settings, &version);
            Ok(model)
        }
        Err(error) => {
            tracing::warn!(
                version,
                folder,
                reason = format!("{error:#}"),
                "the model that was active before cannot be used; beginning with that of bundle.path"
            );
            Model::open(settings)
        }
    }
}

fn open(settings: &Settings, version: &str, folder: &str) -> Result<Model> {
    let model = Model::open_folder(settings, Some(folder))?;
    let found = model.bundle.version();
    ensure!(found == version, "its folder now has version {found}");
    Ok(model)
}
