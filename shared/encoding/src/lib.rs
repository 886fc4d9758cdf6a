//! Item records and user states of one bundle, cached, encoded on a miss.
//!
//! A record is looked for in the record table, then in the store; then it is encoded, if the call
//! has time; else the bundle's missing record stands in for it and the item is encoded behind the
//! call. Whether a record is up to date is known from the item table, so that a request whose
//! records are all in process reads no store, waits for nothing and allocates nothing per item.
//!
//! A user's state is made from the records of the history's items, and kept for as long as profile,
//! history and those items stay as they are.
//!
//! [`Encoding`] is the library; [`Embeddings`] is what scoring holds, which may also be the
//! embedding role in another process.

mod embeddings;
mod encode_catalog;
mod encode_job;
mod encode_queue;
mod encode_rate;
mod encoder;
mod encoding;
mod error;
mod item_models;
mod metrics;
mod missing_records;
mod modal;
mod modal_key;
mod options;
mod record_key;
mod record_set;
mod record_tiers;
mod single_flight;
mod state_cache;
mod stored_records;
mod table_writer;
mod unified_inputs;
mod user_inputs;
mod user_reader;
mod user_states;
mod write_back;

pub use embeddings::{Embeddings, RemoteEncoding, UnifiedAsk};
pub use encode_catalog::CatalogProgress;
pub use encoding::{Encoding, EncodingParts};
pub use error::EncodingError;
pub use metrics::{EncodingCounts, EncodingMetrics};
pub use modal_key::modal_key;
pub use options::EncodingOptions;
pub use record_set::{OriginCounts, RecordSet};
pub use state_cache::{EncodedState, StateOutput};
pub use unified_inputs::UnifiedInputs;
pub use user_reader::UserReader;
pub use user_states::UserEncoding;
