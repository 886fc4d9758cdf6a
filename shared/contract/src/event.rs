//! What users did.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{ItemId, TimestampMs, UserId};

/// What an event says of the item.
///
/// [`EventType`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    /// It was shown, and that alone.
    Impression,
    /// Interest: a click, a purchase. Histories have it as clicked.
    Positive,
    /// Dislike: the item was shown and turned down.
    Negative,
}

/// The type of an event, with what the settings say of it (`[events.types]`).
///
/// ```
/// use plugrank_contract::{EventType, Feedback};
///
/// let purchase =
///     EventType { name: "purchase".into(), feedback: Feedback::Positive, weight: 5.0 };
/// assert!(purchase.is_positive() && EventType::click().is_positive());
/// assert!(!EventType::impression().is_positive());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventType {
    /// Its name.
    pub name: Arc<str>,
    /// What it says of the item.
    pub feedback: Feedback,
    /// How much it counts for or against the item's popularity.
    pub weight: f32,
}

impl EventType {
    /// The type `click`, of weight 1.
    #[must_use]
    pub fn click() -> Self {
        Self { name: "click".into(), feedback: Feedback::Positive, weight: 1.0 }
    }

    /// The type `impression`, of weight 0.
    #[must_use]
    pub fn impression() -> Self {
        Self { name: "impression".into(), feedback: Feedback::Impression, weight: 0.0 }
    }

    /// Whether it shows interest in the item.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.feedback == Feedback::Positive
    }
}

/// One event of the log.
///
/// ```
/// use plugrank_contract::{Event, EventType, HistoryEntry};
///
/// let event = Event {
///     event_id: "e1".to_owned(),
///     event_type: EventType::click(),
///     user_id: "ann".into(),
///     item_id: "lamp".into(),
///     value: Some(19.5),
///     request_id: None,
///     position: Some(1),
///     surface: Some("home".to_owned()),
///     timestamp: 1_700_000_000_000,
/// };
/// let entry = HistoryEntry::from_event(&event);
/// assert!(entry.clicked);
/// assert_eq!(entry.action.as_deref(), Some("click"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Chosen by the caller; a second event of the same id changes nothing.
    pub event_id: String,
    /// What happened.
    pub event_type: EventType,
    /// Who.
    pub user_id: UserId,
    /// With which item.
    pub item_id: ItemId,
    /// How much: a price, seconds, stars; finite.
    pub value: Option<f64>,
    /// The rank request that showed it, when known.
    pub request_id: Option<String>,
    /// Where in the list it stood, from 1, when known.
    pub position: Option<u32>,
    /// Where in the shop it was shown, when known.
    pub surface: Option<String>,
    /// When.
    pub timestamp: TimestampMs,
}
