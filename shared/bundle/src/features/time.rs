//! What follows from a request's time.

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;
use plugrank_contract::{FeatureValue, TimestampMs};

use super::schema::Derive;
use crate::manifest::TimeKind;

/// How times are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestTime {
    pub(super) timezone: Tz,
    pub(super) kind: TimeKind,
}

impl RequestTime {
    /// `None` where times are only an order, or beyond the calendar.
    pub(super) fn value_at(self, at: TimestampMs, derive: Derive) -> Option<FeatureValue> {
        if self.kind == TimeKind::Order {
            return None;
        }
        let local = DateTime::from_timestamp_millis(at)?.with_timezone(&self.timezone);
        let number = match derive {
            Derive::Hour => local.hour(),
            Derive::Weekday => local.weekday().num_days_from_monday(),
        };
        Some(i64::from(number).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_are_in_the_local_time_zone() {
        // 2026-03-29, a Sunday, on which Berlin's clocks went from 2 to 3.
        let before = 1_774_745_999_000;
        let time = |timezone| RequestTime { timezone, kind: TimeKind::Ms };
        let derived =
            |timezone, at, derive| time(timezone).value_at(at, derive).unwrap().to_string();
        let berlin = Tz::Europe__Berlin;
        let hours = [before, before + 1_000].map(|at| derived(berlin, at, Derive::Hour));
        assert_eq!(hours, ["1", "3"]);
        assert_eq!(derived(Tz::UTC, before, Derive::Hour), "0");
        assert_eq!(derived(Tz::UTC, before, Derive::Weekday), "6");
        assert_eq!(derived(Tz::Asia__Tokyo, before + 82_800_000, Derive::Weekday), "0");
        assert_eq!(derived(Tz::UTC, 0, Derive::Weekday), "3", "a Thursday");
        let order = RequestTime { timezone: berlin, kind: TimeKind::Order };
        assert_eq!(order.value_at(before, Derive::Hour), None);
        assert_eq!(time(berlin).value_at(i64::MAX, Derive::Hour), None);
    }
}
