//! The time of day by a clock that tests can stop.

use tokio::time::Instant;

use plugrank_contract::TimestampMs;

use crate::validate;

/// The system's time at a start, and what went by since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: TimestampMs,
    since: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: validate::now_ms(), since: Instant::now() }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> TimestampMs {
        self.start + i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }
}
