//! All tables in a folder.

use std::{fs, path::Path, sync::Arc};

use plugrank_dataset::{DatasetMeta, Negatives};
use plugrank_store::Store;

use crate::{
    ExportError, ExportOptions, ExportReport, ExportWatch,
    behaviour::Behaviour,
    catalog::{self, ImageFiles},
    exposures, interactions,
};

/// Writes items with their images, the histories of all users with their profiles, and served lists.
/// Memory: 32 bytes an interaction, some 200 for one whose request is known, and the ids and profiles of
/// users.
///
/// # Errors
/// As [`ExportError`] says.
pub async fn export(
    store: &Arc<dyn Store>,
    folder: &Path,
    options: &ExportOptions,
    watch: &dyn ExportWatch,
) -> Result<ExportReport, ExportError> {
    begin(folder)?;
    let mut report = ExportReport::default();
    let mut images = ImageFiles::in_folder(folder);
    let items = catalog::write(store, folder.into(), &mut images, watch, &mut report).await?;
    let behaviour = Behaviour::read(store, &items, options, watch, &mut report).await?;
    behaviour.write_users(store, folder.into(), watch).await?;
    let has_impressions = behaviour.has_impressions();
    let rows = (&behaviour, &items);
    interactions::write(store, folder.into(), rows, options, watch, &mut report).await?;
    exposures::write(store, folder.into(), options, watch, &mut report).await?;
    let negatives = if has_impressions { Negatives::Logged } else { Negatives::Matched };
    // Last, so that a folder that has it is whole.
    write_dataset_json(folder, options, negatives)?;
    Ok(report)
}

/// Writes `dataset.json`.
///
/// # Errors
/// The file cannot be written.
pub fn write_dataset_json(
    folder: &Path,
    options: &ExportOptions,
    negatives: Negatives,
) -> Result<(), ExportError> {
    let (name, time) = (options.name.clone(), options.time);
    let more = Default::default();
    Ok(DatasetMeta { name, time, negatives, more }.write(folder)?)
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
