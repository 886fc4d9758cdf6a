//! How often requests arrive.

use std::time::Duration;

use tokio::time::Instant;

/// Exponentially weighted mean of the time between arrivals.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    last: Option<Instant>,
    gap_seconds: Option<f64>,
}

impl Arrivals {
    const WEIGHT: f64 = 0.1;

    /// Notes an arrival.
    pub fn record(&mut self, now: Instant) {
        if let Some(last) = self.last {
            let gap = now.saturating_duration_since(last).as_secs_f64();
            let mean = self.gap_seconds.unwrap_or(gap);
            self.gap_seconds = Some(mean + Self::WEIGHT * (gap - mean));
        }
        self.last = Some(now);
    }

    /// How long until the next arrival may be expected: `None` when unknown, or when it is so
    /// overdue (twice the mean gap) that the traffic has probably ended.
    #[must_use]
    pub fn expected_in(&self, now: Instant) -> Option<Duration> {
        let (last, gap) = (self.last?, self.gap_seconds?);
        let since = now.saturating_duration_since(last).as_secs_f64();
        (since <= 2.0 * gap).then(|| Duration::from_secs_f64((gap - since).max(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_arrival_is_expected_after_the_mean_gap() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut arrivals = Arrivals::default();
        arrivals.record(at(0));
        assert_eq!(arrivals.expected_in(at(0)), None);
        arrivals.record(at(10));
        let soon = arrivals.expected_in(at(14)).unwrap();
        assert!((soon.as_secs_f64() - 0.006).abs() < 1e-9, "{soon:?}");
        assert_eq!(arrivals.expected_in(at(15 + 5)), Some(Duration::ZERO));
        assert_eq!(arrivals.expected_in(at(31)), None);
    }
}
