//! What a store holds as the tables of a dataset folder, to train on: all of them in a folder, or one as a
//! stream. The store may be written to meanwhile: what was in it before is exported.

mod behaviour;
mod catalog;
mod error;
mod exposures;
mod folder;
mod interactions;
mod options;
mod requests;
mod table;
#[cfg(test)]
mod tests;
mod watch;

pub use error::ExportError;
pub use folder::{export, write_dataset_json};
pub use options::{ExportOptions, ExportReport};
pub use table::{ExportTable, export_table, negatives};
pub use watch::{ExportWatch, Unwatched};

/// Rows that are read at a time.
const PAGE: usize = 10_000;
