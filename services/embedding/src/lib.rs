//! Cached PPM item records and user states, encoded on a miss.
//!
//! A record is looked for in the in-process tier, then in the store; then it is encoded, if the
//! call has time; else the bundle's missing record stands in for it and the item is encoded behind
//! the call. User states are made here too, beside the records they are made from.

mod catalog;
mod encode_queue;
mod encoder;
mod error;
mod fetch;
mod flights;
mod item_models;
mod memory;
mod metrics;
mod modal;
mod options;
mod rate;
mod record_key;
mod records;
mod service;
mod time_limit;
mod user_inputs;
mod user_state;
mod write_back;

pub use catalog::CatalogProgress;
pub use error::EmbeddingError;
pub use metrics::{EmbeddingCounts, EmbeddingMetrics};
pub use options::EmbeddingOptions;
pub use service::{EmbeddingParts, EmbeddingService};
