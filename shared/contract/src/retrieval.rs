//! Calls of the retrieval service.

use serde::{Deserialize, Serialize};

use crate::{Call, Event, ItemId, TimestampMs, UserId};

/// Where a candidate came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Named by the caller.
    Caller,
    /// Nearest neighbours of the user's clicks in the space of PPM item vectors.
    Ann,
    /// Clicked together with what the user clicked.
    CoVisitation,
    /// Popular in a category the user clicks in.
    Category,
    /// Popular overall.
    Popular,
    /// New in the catalog.
    Fresh,
}

/// Why an item that a source or the caller named is not among the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The catalog has no such item.
    Unknown,
    /// The user clicked it before.
    Seen,
    /// The caller excluded it.
    Excluded,
    /// The item is marked unavailable.
    Unavailable,
    /// More candidates than the limit.
    OverLimit,
}

/// Asks for the candidates of one request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retrieve {
    /// For whom.
    pub user_id: UserId,
    /// At most this many candidates.
    pub limit: u32,
    /// Caller-given candidates: when present no other source is asked, and `Seen` is not filtered.
    pub candidates: Option<Vec<ItemId>>,
    /// Items the caller does not want.
    pub exclude: Vec<ItemId>,
    /// Only behaviour strictly before this moment is read.
    pub as_of: TimestampMs,
}

/// A candidate and its sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which item.
    pub item_id: ItemId,
    /// Every source that named it, in the order of [`Source`].
    pub sources: Vec<Source>,
}

/// An item left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Which item.
    pub item_id: ItemId,
    /// Why.
    pub reason: DropReason,
}

/// The candidates: no duplicates, best retrieval order first (the order used when nothing can be
/// scored); for caller-given candidates the caller's order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retrieved {
    /// Candidates.
    pub candidates: Vec<Candidate>,
    /// What was left out and why (at most a thousand entries; `dropped_total` counts all).
    pub dropped: Vec<Dropped>,
    /// How many were left out.
    pub dropped_total: u32,
    /// Sources that failed, with the reason; the others still answered.
    pub failed: Vec<(Source, String)>,
}

impl Call for Retrieve {
    type Reply = Retrieved;
    const PATH: &'static str = "/rpc/v1/retrieval/retrieve";
    const IDEMPOTENT: bool = true;
}

/// Tells retrieval of events that have been stored (popularity, co-visitation).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObserveEvents {
    /// Stored events.
    pub events: Vec<Event>,
}

impl Call for ObserveEvents {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/retrieval/observe-events";
    const IDEMPOTENT: bool = false;
    const EVERY_REPLICA: bool = true;
}

/// Tells retrieval that items in the store were written or removed; it reads them again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshItems {
    /// Which items.
    pub item_ids: Vec<ItemId>,
}

impl Call for RefreshItems {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/retrieval/refresh-items";
    const IDEMPOTENT: bool = true;
    const EVERY_REPLICA: bool = true;
}
