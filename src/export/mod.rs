//! `plugrank export`: what the store holds as a dataset folder, to train on.

mod behaviour;
mod catalog;
mod requests;
#[cfg(test)]
mod tests;

use std::{fs, io, path::Path, sync::Arc};

use plugrank_contract::TimestampMs;
use plugrank_dataset::{DatasetError, DatasetMeta, Negatives, Time};
use plugrank_store::{Store, StoreError};
use serde::Serialize;

use crate::load::Progress;
use behaviour::Behaviour;

/// Rows that are read at a time.
const PAGE: usize = 10_000;

/// What is exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Name of the dataset.
    pub name: String,
    /// What the timestamps in the store mean.
    pub time: Time,
    /// Only interactions from this moment on.
    pub since: Option<TimestampMs>,
}

/// Why an export ended. A folder without `dataset.json` is what it leaves then.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is something at the place for the folder.
    #[error("{0} is not empty; name a folder that is, or is not there yet")]
    Occupied(String),
    /// A file cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The folder cannot be made, or an image not written.
    #[error("{path}: {source}")]
    Disk {
        /// Of what.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is more than can be counted.
    #[error("{0}")]
    TooLarge(&'static str),
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Items.
    pub items: u64,
    /// Of them, those with an image.
    pub images: u64,
    /// Users with an interaction.
    pub users: u64,
    /// Interactions.
    pub interactions: u64,
    /// Of them, those whose request is known.
    pub with_request: u64,
    /// Interactions left out: they are before `since`.
    pub earlier: u64,
    /// Interactions left out: the store no longer has their item.
    pub unknown_items: u64,
}

/// Writes items with their images, and the histories of all users with their profiles. The store may
/// be written to meanwhile: what was in it before is exported. Memory: 32 bytes an interaction, and
/// the ids and profiles of users.
///
/// # Errors
/// As [`ExportError`] says.
pub async fn export(
    store: &Arc<dyn Store>,
    folder: &Path,
    options: &ExportOptions,
    progress: &Progress,
) -> Result<ExportReport, ExportError> {
    begin(folder)?;
    let mut report = ExportReport::default();
    let items = catalog::write(store, folder, progress, &mut report).await?;
    let behaviour = Behaviour::read(store, &items, options.since, progress, &mut report).await?;
    let requests = requests::read(store, &behaviour, &items, progress).await?;
    report.with_request = requests.len() as u64;
    let behaviour = behaviour.with_requests(requests);
    behaviour.write_users(store, folder, progress).await?;
    behaviour.write_interactions(folder, &items, progress)?;
    let negatives =
        if behaviour.has_impressions() { Negatives::Logged } else { Negatives::Matched };
    let (name, time) = (options.name.clone(), options.time);
    // Last, so that a folder that has it is whole.
    DatasetMeta { name, time, negatives, more: serde_json::Map::default() }.write(folder)?;
    Ok(report)
}

/// Makes the folder.
fn begin(folder: &Path) -> Result<(), ExportError> {
    let disk = |source| ExportError::Disk { path: folder.display().to_string(), source };
    fs::create_dir_all(folder).map_err(disk)?;
    let mut entries = fs::read_dir(folder).map_err(disk)?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(ExportError::Occupied(folder.display().to_string())),
    }
}
