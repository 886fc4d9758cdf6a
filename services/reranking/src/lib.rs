//! Final order: diversity, caps, exploration.
//!
//! Candidates are put in the order of their value ([`order`]), the click probability as boosts change
//! it; then the places are filled one by one ([`selection`]) while a list of [`rules`] changes what
//! candidates are worth, holds some back, and gives places away. Click probabilities stay what they were;
//! `score` says what the order went by.
//!
//! One rule more is one file in `rules/` and one line in the list of `rules/mod.rs`; those with keys of their own in the
//! section are in `rule_list.rs`.

mod facts;
pub mod inputs;
pub mod options;
pub mod order;
pub mod place;
pub mod rule_list;
pub mod rules;
pub mod selection;
mod service;
pub mod similarity;

pub use facts::Facts;
pub use options::RerankingOptions;
pub use rules::RuleOptions;
pub use selection::PlaceChance;
pub use service::{ItemFacts, RerankingParts, RerankingService, rule_inputs};
