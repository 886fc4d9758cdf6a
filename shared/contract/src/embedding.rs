//! Calls of the embedding service.

use serde::{Deserialize, Serialize};

use crate::{Call, ItemId, Matrix, TimestampMs, UserId};

/// How an item's record was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordOrigin {
    /// In-process tier.
    Memory,
    /// The store.
    Store,
    /// Encoded for this call.
    Encoded,
    /// Not reached in time or not in the catalog: the bundle's missing-vector stands in for its
    /// content.
    Missing,
}

/// How far a fetch goes for records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tiers {
    /// In-process tier, store, encoders.
    #[default]
    All,
    /// What is held in process, as it was last known; nothing waits for the store's vectors or for
    /// an encoder.
    Held,
}

/// Fetches what the unified graph reads: item records and, for `user`, the user's state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// Items, in the order the rows come back.
    pub item_ids: Vec<ItemId>,
    /// Whose state to add, and as of when.
    pub user: Option<(UserId, TimestampMs)>,
    /// How far to go for records.
    pub tiers: Tiers,
}

/// One user's part: the outputs of the bundle's `user_encoder`, in its order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserState {
    /// Outputs; each has one row, or as many rows as the history has entries (at least 1).
    pub outputs: Vec<Matrix>,
    /// Bucket of the time since the newest history entry; 0 without one.
    pub recency_bucket: u8,
    /// History entries that were read.
    pub history_len: u32,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// Reply to [`Fetch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetched {
    /// Version of the bundle that made the records.
    pub bundle: String,
    /// One row an item asked for: the outputs of the bundle's `item_encoder`, concatenated in its
    /// order.
    pub items: Matrix,
    /// How each row was come by; same order.
    pub origins: Vec<RecordOrigin>,
    /// The user's state, when asked for.
    pub user: Option<UserState>,
    /// What could not be read in time, so that something else stands in for it; `None` when all was
    /// read.
    pub late: Option<String>,
}

impl Call for Fetch {
    type Reply = Fetched;
    const PATH: &'static str = "/rpc/v1/embedding/fetch";
    const IDEMPOTENT: bool = true;
}

/// Fetches the PPM item vectors alone (for the ANN index and for diversity).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchVectors {
    /// Items, in the order the rows come back.
    pub item_ids: Vec<ItemId>,
}

/// Reply to [`FetchVectors`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchedVectors {
    /// Version of the bundle that made the vectors.
    pub bundle: String,
    /// One row an item asked for.
    pub vectors: Matrix,
    /// How each row was come by; same order.
    pub origins: Vec<RecordOrigin>,
}

impl Call for FetchVectors {
    type Reply = FetchedVectors;
    const PATH: &'static str = "/rpc/v1/embedding/fetch-vectors";
    const IDEMPOTENT: bool = true;
}

/// Forgets what the in-process tier holds of items whose content changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invalidate {
    /// Which items.
    pub item_ids: Vec<ItemId>,
}

impl Call for Invalidate {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/embedding/invalidate";
    const IDEMPOTENT: bool = true;
    const EVERY_REPLICA: bool = true;
}
