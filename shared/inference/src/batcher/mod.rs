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
mod front;
mod graph_model;
mod layout;
mod model;
mod policy;
mod queue;
mod report;
mod run_times;
mod shape;
pub mod sources;
mod spans;
#[cfg(test)]
mod tests;

pub use arrivals::Arrivals;
pub use front::{Batcher, Entry, Ran, StartError, warm_up};
pub use graph_model::{GraphModel, GraphModelError, GraphRows};
pub use layout::{Layout, LayoutError, Variable};
pub use model::BatchModel;
pub use policy::{Decision, Policy, Waiting};
pub use queue::BatchError;
pub use report::{BatchObserver, BatchReport, CloseReason, NoObserver};
pub use run_times::RunTimes;
pub use shape::{BucketError, Buckets, Dims, RowAxis, Shape, history_buckets};
