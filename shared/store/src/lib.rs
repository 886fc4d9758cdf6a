//! What a store of items, users, histories, events and vectors guarantees: the [`Store`] trait, and
//! the tests that hold an implementation to it (`contract_tests`, a cargo feature).
//!
//! The implementations are crates of their own: `plugrank-store-embedded` (redb, in the process) and
//! `plugrank-store-redis`. [`codec`], [`effect`] and [`keys`] are what both write alike.

pub mod changes;
pub mod codec;
mod content;
#[cfg(feature = "contract-tests")]
pub mod contract_tests;
mod document;
pub mod effect;
mod error;
mod item_vector;
pub mod keys;
mod log;
mod popularity;
pub mod schema3;
mod store;
mod vector_page;

pub use changes::{ChangeLag, ChangeLog, ChangePosition, Changes};
pub use content::content_hash;
pub use document::Document;
pub use error::StoreError;
pub use item_vector::ItemVector;
pub use log::{ExposureRow, LogCursor, LogPage, Retention, TimeRange};
pub use popularity::{DEFAULT_HALF_LIFE, Decayed, share_left};
pub use store::{HistoryCursor, HistoryPage, ItemStats, NewItem, Store, StoredItem, VectorSpace};
pub use vector_page::VectorPage;
