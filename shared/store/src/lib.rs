//! Items, users, histories, events and vectors, embedded or in Redis.
//!
//! One [`Store`] trait, two implementations. The tests of `tests/store_contract.rs` hold both to
//! the same promises.

pub mod changes;
mod codec;
mod content;
pub mod embedded;
mod exposure;
mod keys;
pub mod redis;
pub mod store;

pub use self::redis::{
    ItemVector, RedisAccess, RedisOptions, RedisServers, RedisStore, VectorSetOptions, VectorSets,
};
pub use changes::{ChangeLag, ChangeLog, ChangePosition, Changes};
pub use content::content_hash;
pub use embedded::{EmbeddedOptions, EmbeddedStore};
pub use store::{
    HistoryCursor, HistoryPage, ItemStats, NewItem, Store, StoreError, StoredItem, VectorSpace,
};
