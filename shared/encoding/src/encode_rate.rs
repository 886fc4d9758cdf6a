//! How long encoding an item takes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Exponentially weighted mean of the time an item takes to encode.
#[derive(Debug, Default)]
pub(crate) struct EncodeRate {
    /// Bits of the mean in seconds; 0 before the first measurement.
    seconds: AtomicU64,
}

impl EncodeRate {
    const WEIGHT: f64 = 0.2;

    /// Adds a measurement of `items` encoded in `took`.
    pub(crate) fn record(&self, items: usize, took: Duration) {
        if items == 0 {
            return;
        }
        let new = took.as_secs_f64() / items as f64;
        let mean = f64::from_bits(self.seconds.load(Ordering::Relaxed));
        let next = if mean == 0.0 { new } else { mean + Self::WEIGHT * (new - mean) };
        // Two batches that end together may lose one measurement; the mean does not need it.
        self.seconds.store(next.to_bits(), Ordering::Relaxed);
    }

    /// How many items can be encoded within `left`, `threads` at a time, behind `queued` others.
    /// Before the first measurement one batch is tried.
    pub(crate) fn fit(&self, left: Duration, queued: usize, threads: usize, batch: usize) -> usize {
        let mean = f64::from_bits(self.seconds.load(Ordering::Relaxed));
        if left.is_zero() {
            return 0;
        }
        if mean == 0.0 {
            return batch;
        }
        let total = left.as_secs_f64() * threads as f64 / mean;
        (total as usize).saturating_sub(queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_items_that_fit_the_time_left_after_the_queue_are_encoded() {
        let rate = EncodeRate::default();
        let ms = Duration::from_millis;
        assert_eq!(rate.fit(ms(10), 0, 1, 16), 16);
        rate.record(10, ms(20));
        assert_eq!(rate.fit(ms(20), 0, 1, 16), 10);
        assert_eq!(rate.fit(ms(20), 4, 2, 16), 16);
        assert_eq!(rate.fit(ms(20), 40, 1, 16), 0);
        assert_eq!(rate.fit(Duration::ZERO, 0, 1, 16), 0);
    }
}
