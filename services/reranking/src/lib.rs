//! Final order: diversity, caps, exploration.
//!
//! Candidates are put in the order of their click probability ([`order`]); then the places are
//! filled one by one ([`selection`]) while a list of [`rules`] changes what candidates are worth,
//! holds some back, and moves items in at the end. Click probabilities stay what they were; `score`
//! says what the order went by.
//!
//! One rule more is one file in `rules/` and one line in [`rules::all`].

mod facts;
pub mod options;
pub mod order;
pub mod place;
pub mod rules;
pub mod selection;
mod service;
pub mod similarity;

pub use facts::Facts;
pub use options::RerankingOptions;
pub use service::{ItemFacts, RerankingParts, RerankingService};
