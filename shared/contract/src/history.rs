//! A user's labelled history, the way models read it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Event, ItemId, TimestampMs, feature::Number};

/// One past impression with its label.
///
/// ```
/// use plugrank_contract::HistoryEntry;
///
/// let seen = HistoryEntry::new("lamp".into(), false, 1_000);
/// let bought = HistoryEntry { action: Some("purchase".into()), clicked: true, ..seen.clone() };
/// assert!(bought.clicked && !seen.clicked && seen.action.is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Item shown.
    pub item_id: ItemId,
    /// Whether it was clicked.
    pub clicked: bool,
    /// When.
    pub timestamp: TimestampMs,
    /// What was done: the type of the event, or the data set's `action`.
    pub action: Option<Arc<str>>,
    /// How much: a price, seconds, stars.
    pub value: Option<Number>,
}

impl HistoryEntry {
    /// An entry of which neither action nor value is known.
    #[must_use]
    pub fn new(item_id: ItemId, clicked: bool, timestamp: TimestampMs) -> Self {
        Self { item_id, clicked, timestamp, action: None, value: None }
    }

    /// The entry that an event makes by itself.
    #[must_use]
    pub fn from_event(event: &Event) -> Self {
        Self {
            action: Some(Arc::clone(&event.event_type.name)),
            value: event.value.and_then(Number::new),
            ..Self::new(event.item_id.clone(), event.event_type.is_positive(), event.timestamp)
        }
    }
}

/// What a user saw and did before a moment, newest first; among equal timestamps the greater item
/// id first.
///
/// ```
/// use plugrank_contract::{History, HistoryEntry};
///
/// let entry = |id: &str, clicked, at| HistoryEntry::new(id.into(), clicked, at);
/// let history = History { entries: vec![entry("sofa", true, 3), entry("lamp", false, 2)] };
/// assert_eq!(history.clicks().map(|entry| entry.item_id.as_str()).collect::<Vec<_>>(), ["sofa"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Entries, newest first.
    pub entries: Vec<HistoryEntry>,
}

impl History {
    /// The clicked entries, newest first.
    pub fn clicks(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.entries.iter().filter(|entry| entry.clicked)
    }
}

/// The largest bucket of an interval.
pub const LAST_TIME_BUCKET: u8 = 31;

/// Bucket of an interval: `min(31, 1 + floor(log2(max(1, seconds))))`, in 1..=31; 0 is kept for
/// "unknown" and padding. A negative interval (a clock that jumped) counts as none.
///
/// ```
/// use plugrank_contract::history::time_bucket;
///
/// assert_eq!([0, 1_000, 2_000, 3_600_000].map(time_bucket), [1, 1, 2, 12]);
/// ```
#[must_use]
pub fn time_bucket(interval_ms: i64) -> u8 {
    let seconds = (interval_ms / 1000).max(1);
    let log2 = 63 - seconds.leading_zeros() as u8;
    (1 + log2).min(LAST_TIME_BUCKET)
}

#[cfg(test)]
mod tests {
    use super::time_bucket;

    #[test]
    fn time_buckets_double() {
        let bucket = |seconds: i64| time_bucket(seconds * 1000);
        assert_eq!(
            [bucket(-5), bucket(0), bucket(1), bucket(2), bucket(3), bucket(4), bucket(1024)],
            [1, 1, 1, 2, 2, 3, 11]
        );
        assert_eq!(time_bucket(i64::MAX), super::LAST_TIME_BUCKET);
    }
}
