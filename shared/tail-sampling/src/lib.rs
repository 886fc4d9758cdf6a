//! Tail sampling: what happens to a request's spans is decided when it has ended.
//!
//! Requests that were degraded, late or failed get their spans at any sampled share, and the
//! slowest recent ones are remembered beside them for the operator's pages.

mod pending;
mod recent;
mod sampling;
mod spans;
mod waterfall;

pub use recent::RecentRequests;
pub use sampling::TailSampling;
pub use waterfall::{RequestTrace, TraceSpan};
