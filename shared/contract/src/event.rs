//! What users did.

use serde::{Deserialize, Serialize};

use crate::{ItemId, TimestampMs, UserId};

/// What happened between a user and an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// The item was shown and not clicked (or not yet).
    Impression,
    /// The item was clicked.
    Click,
}

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Chosen by the caller; a second event of the same id changes nothing.
    pub event_id: String,
    /// What happened.
    pub event_type: EventType,
    /// Who.
    pub user_id: UserId,
    /// With which item.
    pub item_id: ItemId,
    /// The rank request that showed it, when known.
    pub request_id: Option<String>,
    /// Where in the list it stood, from 0, when known.
    pub position: Option<u32>,
    /// When.
    pub timestamp: TimestampMs,
}
