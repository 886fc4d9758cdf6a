//! `dataset.json`: what the folder is.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{DatasetError, names::DATASET_JSON};

/// What a timestamp means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Time {
    /// Milliseconds since the Unix epoch.
    Ms,
    /// A position in the user's sequence; intervals are unknown.
    Order,
}

/// Where the impressions without a click come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Negatives {
    /// They were logged.
    Logged,
    /// Only clicks were recorded; training draws one negative for each.
    Matched,
}

/// Content of `dataset.json`. Unknown keys are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetMeta {
    /// Name of the dataset.
    pub name: String,
    /// What a timestamp means.
    pub time: Time,
    /// Where the impressions without a click come from.
    pub negatives: Negatives,
    /// Further keys that its maker wrote.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl DatasetMeta {
    /// Reads `dataset.json` of a folder.
    ///
    /// # Errors
    /// The file is missing, unreadable, or lacks a field.
    pub fn read(folder: &Path) -> Result<Self, DatasetError> {
        let path = folder.join(DATASET_JSON);
        let text = fs::read_to_string(&path).map_err(|error| DatasetError::io(&path, error))?;
        if text.starts_with('\u{feff}') {
            let problem = "begins with a byte order mark; save it as UTF-8 without one".to_owned();
            return Err(DatasetError::Meta { path, problem });
        }
        serde_json::from_str(&text).map_err(|error| DatasetError::Meta {
            path,
            problem: format!(
                "{error}; it needs `name`, `time` (`ms` or `order`) and `negatives` (`logged` or \
                 `matched`)"
            ),
        })
    }

    /// Writes `dataset.json` into a folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), DatasetError> {
        let path = folder.join(DATASET_JSON);
        let mut text = serde_json::to_string_pretty(self).map_err(|error| DatasetError::Meta {
            path: path.clone(),
            problem: format!("cannot be written: {error}"),
        })?;
        text.push('\n');
        fs::write(&path, text).map_err(|source| DatasetError::Io { path, source })
    }
}
