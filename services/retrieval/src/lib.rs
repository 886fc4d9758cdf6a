//! Candidates for a user from several sources.
//!
//! A request runs through a fixed order of small parts: the user's clicks are read, the
//! sources run side by side, their lists are merged into one, the filters
//! take out what must not be shown and say why, and what is missing is filled from the popular
//! items. A source that fails or panics is reported; the others still answer.

mod build;
mod catalog;
mod engine;
mod error;
mod filters;
mod follow;
pub mod index;
mod merge;
mod observe;
pub mod options;
mod popularity;
mod query;
mod refresh;
mod service;
mod snapshot;
mod sources;
mod state;
#[cfg(test)]
mod testing;

pub use build::BuildProgress;
pub use error::RetrievalError;
pub use follow::FollowStatus;
pub use options::RetrievalOptions;
pub use service::{RetrievalParts, RetrievalService, RetrievalStatus};
pub use snapshot::SnapshotStatus;
