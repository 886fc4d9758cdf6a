//! Checks on what is written, the same that a reader makes.

use std::{collections::HashSet, path::Path};

use plugrank_contract::FeatureValues;

use super::FeatureType;
use crate::{DatasetError, DatasetRule};

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
        return Err(DatasetError::value(path, column, row, DatasetRule::Length, problem));
    }
    Ok(())
}

/// Refuses feature columns that repeat each other or take a name of the format.
pub(super) fn feature_columns(
    path: &Path,
    features: &[(&str, FeatureType)],
    reserved: &[&str],
) -> Result<(), DatasetError> {
    let mut seen: HashSet<&str> = reserved.iter().copied().collect();
    match features.iter().find(|(name, _)| !seen.insert(name)) {
        Some((name, _)) => {
            Err(DatasetError::DuplicateColumn { path: path.to_owned(), column: (*name).to_owned() })
        }
        None => Ok(()),
    }
}

/// Refuses a feature that the file has no column for, or one of another type: it would be lost.
pub(super) fn known_features(
    path: &Path,
    row: u64,
    values: &FeatureValues,
    columns: &[(String, FeatureType)],
) -> Result<(), DatasetError> {
    for (name, value) in values {
        let column = columns.iter().find(|(column, _)| column == name);
        let (rule, problem) = match column {
            Some((_, found)) if found.holds(value) => continue,
            Some((_, found)) => (
                DatasetRule::Type,
                format!("is {}, but the file was started with {}", value.kind(), found.data_type()),
            ),
            None => (
                DatasetRule::Column,
                "the file was started without this feature column; name it when creating the writer"
                    .to_owned(),
            ),
        };
        return Err(DatasetError::value(path, name, row, rule, problem));
    }
    Ok(())
}
