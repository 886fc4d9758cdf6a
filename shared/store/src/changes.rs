//! What changed in a catalog, for those that keep a copy of it: other processes, or this one after
//! it was started again.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use plugrank_contract::ItemId;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// How far a follower has read. To be kept beside what was made of the changes.
///
/// In Redis there is a stream a bucket, in an embedded store one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePosition(pub Vec<StreamPosition>);

/// How far one stream has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamPosition {
    /// Id of the last entry read. First its milliseconds; then, in Redis, its number among those of
    /// that time, and in an embedded store what tells this log from every other.
    pub id: (u64, u64),
    /// Entries that the stream was ever given, up to and with that one.
    pub count: u64,
}

/// What changed of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It was written or deleted.
    Item,
    /// The loader's statistics of it were written.
    Stats,
}

/// Changes after a position. What an item has become is to be read from the store: it may have
/// changed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Items that were written or deleted, once each.
    pub items: Vec<ItemId>,
    /// Other items whose loaded statistics were written, once each.
    pub stats: Vec<ItemId>,
    /// Where these end.
    pub position: ChangePosition,
}

impl Changes {
    /// Names each item once, and among `stats` none that is among `items`.
    pub fn new(mut items: Vec<ItemId>, mut stats: Vec<ItemId>, position: ChangePosition) -> Self {
        let mut met = HashSet::new();
        items.retain(|id| met.insert(id.clone()));
        stats.retain(|id| met.insert(id.clone()));
        Self { items, stats, position }
    }
}

/// What there is after a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing yet.
    Nothing,
    /// The next changes, in no order; there may be more.
    Changes(Changes),
    /// Changes after the position are no longer kept, or the log is not the one it was: the whole
    /// catalog has to be read again.
    Lost,
}

/// How far a position is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeLag {
    /// Entries not read yet, each of one or more items.
    pub entries: u64,
    /// Age of the oldest of them.
    pub age: Duration,
}

/// The latest changes of a catalog, kept for a while. Every follower reads all of them, from
/// a position of its own.
#[async_trait]
pub trait ChangeLog: Send + Sync + 'static {
    /// The position after every change so far. A process that takes it and then reads the catalog
    /// misses nothing by following from it.
    async fn end(&self) -> Result<ChangePosition, StoreError>;
    /// What comes after a position.
    async fn after(&self, position: &ChangePosition) -> Result<Next, StoreError>;
    /// Returns when there may be something after a position, at the latest after `longest`.
    async fn wait(&self, position: &ChangePosition, longest: Duration) -> Result<(), StoreError>;
    /// How far a position is behind.
    async fn lag(&self, position: &ChangePosition) -> Result<ChangeLag, StoreError>;
}
