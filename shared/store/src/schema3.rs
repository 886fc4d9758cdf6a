//! What the schema of stores before this one, 3, wrote in another way, for those who bring such a store to
//! this one.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use plugrank_contract::{Event, EventType, HistoryEntry, ItemId, TimestampMs, UserId};
use serde::{Deserialize, Serialize};

use crate::{Decayed, codec};

/// The version.
pub const VERSION: u64 = 3;

/// An event as it was logged: of two types, of no value and no surface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// Chosen by the caller.
    pub event_id: String,
    /// What happened.
    pub event_type: LoggedType,
    /// Who.
    pub user_id: UserId,
    /// With which item.
    pub item_id: ItemId,
    /// The rank request that showed it.
    pub request_id: Option<String>,
    /// Where in the list it stood, from 0.
    pub position: Option<u32>,
    /// When.
    pub timestamp: TimestampMs,
}

/// The types there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoggedType {
    /// The item was shown.
    Impression,
    /// It was clicked.
    Click,
}

impl From<LoggedEvent> for Event {
    fn from(logged: LoggedEvent) -> Self {
        let LoggedEvent { event_id, event_type, user_id, item_id, request_id, position, timestamp } =
            logged;
        Self {
            event_id,
            event_type: match event_type {
                LoggedType::Impression => EventType::impression(),
                LoggedType::Click => EventType::click(),
            },
            user_id,
            item_id,
            value: None,
            request_id,
            // Counted from 1 since.
            position: position.map(|position| position.saturating_add(1)),
            surface: None,
            timestamp,
        }
    }
}

/// Reads an event.
///
/// # Errors
/// When the bytes are none.
pub fn read_event(bytes: &[u8]) -> postcard::Result<Event> {
    codec::decode::<LoggedEvent>(bytes).map(Event::from)
}

/// How popular what the loader wrote is, which was not kept: by the clicks in histories that no event is
/// behind.
#[derive(Debug)]
pub struct LoadedPopularity {
    half_life: Duration,
    items: HashMap<ItemId, Decayed>,
}

impl LoadedPopularity {
    /// Of nothing yet.
    #[must_use]
    pub fn new(half_life: Duration) -> Self {
        Self { half_life, items: HashMap::new() }
    }

    /// Counts the history of a user, all of whose events these are.
    pub fn count(&mut self, history: &[HistoryEntry], events: &[Event]) {
        let logged: HashSet<(&ItemId, TimestampMs)> =
            events.iter().map(|event| (&event.item_id, event.timestamp)).collect();
        for entry in history.iter().filter(|entry| entry.clicked) {
            if !logged.contains(&(&entry.item_id, entry.timestamp)) {
                let sum = self.items.entry(entry.item_id.clone()).or_default();
                sum.add(1.0, entry.timestamp, self.half_life);
            }
        }
    }

    /// That of an item.
    #[must_use]
    pub fn get(&self, item: &ItemId) -> Decayed {
        self.items.get(item).copied().unwrap_or_default()
    }
}
