//! Checks on what is written, the same that a reader makes.

use std::path::Path;

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
