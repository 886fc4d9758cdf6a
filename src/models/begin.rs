//! The model a process begins with: the one that was activated last, else that of the settings.

use std::sync::Arc;

use anyhow::{Result, ensure};
use plugrank_contract::loading;
use plugrank_gateway::{KeptModel, KeptModels};
use plugrank_store::Store;

use super::{own_snapshots, role::Named};
use crate::{
    Settings,
    wiring::{self, Model, Node},
};

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

/// The model that a role begins with: with its bundle, where it reads one here; else the one that the embedding
/// role has.
///
/// # Errors
/// When the bundle cannot be used, or the embedding role not be asked.
pub async fn begin_role(node: &Node, needs_bundle: bool) -> Result<(Named, Option<Model>)> {
    if needs_bundle {
        let model = begin(&mut node.settings.clone(), &node.store).await?;
        let version = model.bundle.version().to_owned();
        return Ok((Named { version, folder: model.folder.clone() }, Some(model)));
    }
    if let Ok(KeptModels { active: Some(active), .. }) = KeptModels::read(&node.store).await {
        let named = Named::from(active);
        let embedding = wiring::remote_embedding(node, Some(named.name()))?;
        match wiring::bundle_in_use(&embedding).await {
            Ok(version) if version == named.version => return Ok((named, None)),
            Ok(version) => tracing::warn!(version, "the embedding role has another version"),
            Err(error) => {
                let (version, reason) = (&named.version, format!("{error:#}"));
                tracing::warn!(
                    version,
                    reason,
                    "the model that was active before is not asked for"
                );
            }
        }
    }
    let embedding = wiring::remote_embedding(node, Some(loading::SETTINGS))?;
    let version = wiring::bundle_in_use(&embedding).await?;
    Ok((Named { version, folder: None }, None))
}

fn open(settings: &Settings, version: &str, folder: &str) -> Result<Model> {
    let model = Model::open_folder(settings, Some(folder))?;
    let found = model.bundle.version();
    ensure!(found == version, "its folder now has version {found}");
    Ok(model)
}
