//! Batched CTR scoring.
//!
//! Item records and the user's state come from the embedding service; rows of many requests become
//! one run of the bundle's `unified` (or `idrec`) graph; logits become calibrated probabilities.

mod calibrate;
mod error;
mod feature_table;
mod graph_inputs;
mod idrec;
mod infer;
mod metrics;
mod options;
mod scorer;
mod service;
mod unified;

pub use error::ScoringError;
pub use metrics::{ScoringCounts, ScoringMetrics};
pub use options::ScoringOptions;
pub use service::{Elsewhere, ScoringParts, ScoringService};
