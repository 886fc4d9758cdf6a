//! Candidates for a user from several sources.
//!
//! A request runs through a fixed order of small parts over one view of the item table: the user is
//! read, the sources name items, their lists are merged into one, the filters take out what must not
//! be shown and say why, and what is missing is filled from the popular items. A source that fails
//! or panics is reported; the others still answer. Where the caller names the candidates, only the
//! filters are asked. Items are indices of the table throughout.

mod answer;
mod build;
mod candidates;
mod click_pairs;
pub mod engine;
mod engine_asked;
mod engine_options;
mod error;
mod filters;
pub mod index;
mod index_set;
mod indexed;
mod load_table;
mod merge;
mod narrowed;
mod observe;
pub mod options;
mod popularity;
mod query;
mod refresh;
mod refresh_items;
mod replay_pairs;
mod retrieve;
mod service;
mod shown;
mod shown_too_often;
mod similar;
mod snapshot;
mod sources;
mod state;
#[cfg(test)]
mod testing;

pub use build::BuildProgress;
pub use engine_options::{EngineKind, EngineOptions};
pub use error::RetrievalError;
pub use load_table::{LoadTable, LoadedTable, load_table};
pub use options::RetrievalOptions;
pub use plugrank_items::FollowStatus;
pub use service::{RetrievalParts, RetrievalService, RetrievalStatus};
pub use snapshot::SnapshotStatus;
pub use sources::source_names;
pub use state::FeatureColumns;
