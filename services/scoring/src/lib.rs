//! Batched CTR scoring.
//!
//! Item records are rows of the process's item table, gathered by index straight into a batch; the
//! user's state comes from the encoding library or the embedding role. Rows of many requests become
//! one run of the bundle's `unified` (or `idrec`) graph; logits become calibrated probabilities.

mod calibrate;
mod check_features;
mod error;
mod given;
mod graph_inputs;
mod idrec;
mod infer;
mod metrics;
pub mod options;
mod rank_facts;
mod remote_model;
mod scorer;
mod seen;
mod service;
mod tasks;
mod unified;
mod value;

pub use error::ScoringError;
pub use metrics::{ScoringCounts, ScoringMetrics};
pub use options::ScoringOptions;
pub use remote_model::RemoteModel;
pub use seen::FeatureSeen;
pub use service::{ScoringParts, ScoringService};
