//! The store inside the process: redb, one file, and what requests read of users in memory.
//!
//! One thread writes (`writer`); readers read the last confirmed snapshot, beside it and each
//! other.

#[cfg(test)]
mod cached_views;
mod catalog;
mod changed_rows;
mod changes;
mod copy;
mod database;
mod documents;
mod error;
mod events;
mod exposures;
#[cfg(test)]
mod full_disk;
mod history;
mod log;
mod migrate;
mod open;
mod options;
mod retention;
mod stats;
mod store;
mod user_cache;
mod users;
mod vectors;
mod writer;

pub use migrate::FileMigration;
pub use options::EmbeddedOptions;
pub use store::EmbeddedStore;
