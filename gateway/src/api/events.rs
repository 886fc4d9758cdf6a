//! `POST /v1/events`.

use std::borrow::Cow;

use plugrank_contract::TimestampMs;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::ProblemDocument;

/// A batch of events.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest<'a> {
    /// Events, in any order; at most 1,000 unless configured otherwise.
    #[serde(borrow)]
    #[schema(min_items = 1, max_items = 1000)]
    pub events: Vec<EventBody<'a>>,
}

/// What a user did.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventBody<'a> {
    /// Chosen by the caller, unique to the user; sending it again for that user changes nothing.
    #[serde(borrow)]
    #[schema(min_length = 1, max_length = 256)]
    pub event_id: Cow<'a, str>,
    /// What happened: a type of the settings (`[events.types]`), `click` and `impression` among them.
    #[serde(rename = "type", borrow)]
    #[schema(example = "click")]
    pub kind: Cow<'a, str>,
    /// Who.
    #[serde(borrow)]
    #[schema(min_length = 1, max_length = 256, example = "u1")]
    pub user_id: Cow<'a, str>,
    /// With which item.
    #[serde(borrow)]
    #[schema(min_length = 1, max_length = 256, example = "i1")]
    pub item_id: Cow<'a, str>,
    /// How much: a price, seconds, stars.
    #[schema(exclusive_minimum = -3.402_823_567_797_336_6e38, exclusive_maximum = 3.402_823_567_797_336_6e38)]
    pub value: Option<f64>,
    /// The `request_id` of the ranking that showed the item.
    #[schema(min_length = 1, max_length = 256)]
    pub request_id: Option<String>,
    /// Where in the list it stood, from 1: the `rank` of the reply.
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 2_147_483_647, example = 1)]
    pub position: Option<u32>,
    /// Where in the shop it was shown.
    #[schema(min_length = 1, max_length = 64, example = "home")]
    pub surface: Option<String>,
    /// When, milliseconds since 1970; now when left out. From 1980 on, and no further ahead of the server's
    /// clock than `events.ahead_ms`.
    #[schema(value_type = Option<i64>, minimum = 315_532_800_000_i64)]
    pub timestamp: Option<TimestampMs>,
}

/// What happened to each event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventsResponse {
    /// One an event, in the order they came.
    pub results: Vec<EventResult>,
}

/// What happened to an event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventResult {
    /// Its id; null where it cannot be read.
    pub event_id: Option<String>,
    /// Whether it counts.
    pub status: EventStatus,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemDocument>,
}

/// Whether an event counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// It is durable and counts.
    Accepted,
    /// An event of this id and user came before; nothing changed.
    Repeat,
    /// It is wrong; nothing was recorded.
    Refused,
}
