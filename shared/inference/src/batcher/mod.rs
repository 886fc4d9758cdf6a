//! Batches of rows across requests.
//!
//! Small requests of many callers become one rectangular run `[users, candidates]`. [`Policy`]
//! decides, as plain data in and a value out, when a batch closes and who is in it; [`Batcher`]
//! holds the queue and the worker threads; [`BatchModel`] is what runs, and [`GraphModel`] is that
//! for a graph of a bundle.
//!
//! What a request gets does not depend on whose rows it ran with: every user's rows are computed
//! from their own inputs alone, and padding is masked out by the graphs (`docs/bundle-format.md`).

mod arrivals;
mod backlog;
mod batch_error;
mod batch_rows;
mod front;
mod graph_input;
mod graph_model;
mod layout;
mod model;
mod policy;
mod queue;
mod remote_batches;
mod report;
mod run_times;
mod runner;
mod session_batches;
mod shape;
mod shared;
pub mod sources;
mod spans;
#[cfg(test)]
mod tests;
mod warm_up;

pub use arrivals::Arrivals;
pub use batch_error::BatchError;
pub use front::{Batcher, BatcherStartError, Ran};
pub use graph_input::{GraphInput, TensorRows};
pub use graph_model::{GraphModel, GraphModelError};
pub use layout::{Layout, LayoutError, Variable};
pub use model::{BatchModel, Entry, RunError};
pub use policy::{BatchDecision, Policy, Waiting};
pub use report::{BatchObserver, BatchReport, CloseReason, NoObserver};
pub use run_times::RunTimes;
pub use shape::{BucketError, Buckets, Dims, RowAxis, Shape, history_buckets};
pub use warm_up::warm_up;
