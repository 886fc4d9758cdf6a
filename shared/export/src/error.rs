//! Why an export ends.

use std::io;

use plugrank_dataset::DatasetError;
use plugrank_store::StoreError;

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
    /// The reader has gone.
    #[error("the export's reader has gone")]
    Stopped,
}
