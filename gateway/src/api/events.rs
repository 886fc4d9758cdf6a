//! `POST /v1/events`.

use plugrank_contract::{EventType, TimestampMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A batch of events.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// Events, in any order; at most 1,000 unless configured otherwise.
    pub events: Vec<EventBody>,
}

/// What a user did.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventBody {
    /// Chosen by the caller, unique to the user; sending it again for that user changes nothing.
    #[schema(min_length = 1, max_length = 256)]
    pub event_id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Who.
    #[schema(min_length = 1, max_length = 256, example = "u1")]
    pub user_id: String,
    /// With which item.
    #[schema(min_length = 1, max_length = 256, example = "i1")]
    pub item_id: String,
    /// The `request_id` of the ranking that showed the item.
    pub request_id: Option<String>,
    /// Where in the list it stood, from 0.
    pub position: Option<u32>,
    /// When, milliseconds since 1970; now when left out.
    pub timestamp: Option<TimestampMs>,
}

/// What happened between a user and an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The item was clicked.
    Click,
    /// The item was shown.
    Impression,
}

impl From<EventKind> for EventType {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Click => Self::Click,
            EventKind::Impression => Self::Impression,
        }
    }
}

/// The batch is durable.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct EventsResponse {
    /// Events that were new.
    pub accepted: u64,
    /// Events whose id was known already.
    pub duplicates: u64,
}
