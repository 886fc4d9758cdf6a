//! Rows of the tables. A row of `users.parquet` is a [`plugrank_contract::User`].

use std::sync::Arc;

use plugrank_contract::{Item, ItemId, TimestampMs, UserId, feature::Number};

/// A row of `items.parquet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetItem {
    /// The item; `image_hash` is empty when read.
    pub item: Item,
    /// Path of its image inside the folder, when it has one.
    pub image: Option<String>,
}

/// A row of `interactions.parquet`: one impression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InteractionRow {
    /// Who.
    pub user_id: UserId,
    /// What was shown.
    pub item_id: ItemId,
    /// When.
    pub timestamp: TimestampMs,
    /// Whether it was clicked.
    pub clicked: bool,
    /// The request that showed it, when known.
    pub request_id: Option<String>,
    /// Where in the list it stood, from 0, when known.
    pub position: Option<u32>,
    /// What was done, when known.
    pub action: Option<Arc<str>>,
    /// How much of it, when known.
    pub value: Option<Number>,
}

/// A row of `truth.parquet`: the true click probability of one impression.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthRow {
    /// Who.
    pub user_id: UserId,
    /// What was shown.
    pub item_id: ItemId,
    /// When.
    pub timestamp: TimestampMs,
    /// Probability of a click, in 0..=1.
    pub probability: f32,
}
