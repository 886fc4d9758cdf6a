//! The store inside the process: redb, one file, and decoded items in memory.
//!
//! One thread writes ([`writer`]); readers read the last confirmed snapshot, beside it and each
//! other.

mod catalog;
mod database;
mod error;
mod events;
#[cfg(test)]
mod full_disk;
mod history;
mod open;
mod options;
mod stats;
mod store;
mod users;
mod vectors;
mod writer;

pub use options::EmbeddedOptions;
pub use store::EmbeddedStore;
