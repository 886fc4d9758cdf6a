//! The logs of events and exposures: reading them by time, and how long they are kept.

use std::time::Duration;

use plugrank_contract::{Exposure, TimestampMs, UserId};

use crate::codec;

/// A span of time: from a moment on, up to and without another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment.
    pub from: TimestampMs,
    /// The first moment after it.
    pub to: TimestampMs,
}

impl TimeRange {
    /// All of time, but for its last moment.
    pub const ALL: Self = Self { from: TimestampMs::MIN, to: TimestampMs::MAX };

    /// Whether a moment lies in it.
    #[must_use]
    pub fn contains(&self, moment: TimestampMs) -> bool {
        self.from <= moment && moment < self.to
    }
}

/// Where the reading of a log goes on: bytes that only the store it came from can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCursor(pub Vec<u8>);

/// A page of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage<T> {
    /// Entries; there may be none on a page.
    pub entries: Vec<T>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<LogCursor>,
}

impl<T> Default for LogPage<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), next: None }
    }
}

/// How long is kept what users did and saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events, their ids and what is known of their showings: a repeat that comes later counts again.
    pub events: Duration,
    /// Exposures.
    pub exposures: Duration,
    /// Entries of histories.
    pub history: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { events: 90 * DAY, exposures: 30 * DAY, history: 365 * DAY }
    }
}

impl Retention {
    /// How long the log is kept that is kept longest.
    #[must_use]
    pub fn longest_log(&self) -> Duration {
        self.events.max(self.exposures)
    }
}

/// A served list as both stores keep it. It is written where the list was served, which is cheaper than
/// to hand over all it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposureRow {
    /// To whom.
    pub user_id: UserId,
    /// When.
    pub timestamp: TimestampMs,
    /// The [`Exposure`], as [`codec::encode`] writes it.
    pub bytes: Box<[u8]>,
}

impl From<&Exposure> for ExposureRow {
    fn from(exposure: &Exposure) -> Self {
        Self {
            user_id: exposure.user_id.clone(),
            timestamp: exposure.timestamp,
            bytes: codec::encode(exposure).into(),
        }
    }
}
