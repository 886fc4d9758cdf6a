//! Final order: diversity, rules, exploration.
//!
//! Candidates run through a fixed order of rules, one file each: [`order`] by click probability,
//! [`diversity`] against likeness to what is already placed, [`category_cap`] on how many of a
//! category are shown, [`exploration`] of fresh items in slots kept for them. Click probabilities
//! stay what they were; `score` says what the order went by.

pub mod category_cap;
pub mod diversity;
pub mod exploration;
mod facts;
mod likeness;
pub mod options;
pub mod order;
pub mod pipeline;
mod selection;
mod service;
#[cfg(test)]
mod testing;

pub use facts::ItemFacts;
pub use likeness::Likeness;
pub use options::{OptionsError, RerankingOptions};
pub use service::{RerankingParts, RerankingService};
