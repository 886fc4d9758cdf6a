//! Checks on what is written, the same that a reader makes.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use crate::{DatasetError, Rule};

/// Refuses an id that no reader would accept.
pub(super) fn id(
    path: &Path,
    column: &str,
    row: u64,
    id: &str,
    max_bytes: usize,
) -> Result<(), DatasetError> {
    if id.is_empty() || id.len() > max_bytes {
        let problem = format!("an id has 1 to {max_bytes} bytes, this one has {}", id.len());
        return Err(DatasetError::value(path, column, row, Rule::Length, problem));
    }
    Ok(())
}

/// Refuses feature columns that repeat each other or take a name of the format.
pub(super) fn feature_columns(
    path: &Path,
    features: &[&str],
    reserved: &[&str],
) -> Result<(), DatasetError> {
    let mut seen: HashSet<&str> = reserved.iter().copied().collect();
    match features.iter().find(|name| !seen.insert(name)) {
        Some(name) => {
            Err(DatasetError::DuplicateColumn { path: path.to_owned(), column: (*name).to_owned() })
        }
        None => Ok(()),
    }
}

/// Refuses a feature for which the file has no column: it would be lost.
pub(super) fn known_features(
    path: &Path,
    row: u64,
    values: &BTreeMap<String, String>,
    columns: &[String],
) -> Result<(), DatasetError> {
    match values.keys().find(|name| !columns.contains(name)) {
        Some(name) => Err(DatasetError::value(
            path,
            name,
            row,
            Rule::Column,
            "the file was started without this feature column; name it when creating the writer",
        )),
        None => Ok(()),
    }
}
