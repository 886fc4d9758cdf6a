//! What callers send and get, one file a resource. These shapes are the API; the contract between
//! services may change without them.

pub mod events;
pub mod experiments;
pub(crate) mod features;
pub mod filter;
pub mod items;
pub mod models;
pub mod playground;
pub mod rank;
pub mod users;

/// Milliseconds with microseconds after the point.
pub(crate) fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
