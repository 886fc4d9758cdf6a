//! How long a run of each shape takes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::shape::Shape;

/// Exponentially weighted mean of measured run times, by shape. Read without a lock.
#[derive(Debug, Default)]
pub struct RunTimes {
    /// Ordered by shape; seconds as the bits of an f64, NaN before the first measurement.
    means: Vec<(Shape, AtomicU64)>,
}

impl RunTimes {
    /// Weight of the newest measurement.
    const WEIGHT: f64 = 0.2;

    /// Adds a measurement.
    pub fn record(&mut self, shape: Shape, took: Duration) {
        self.expect(shape);
        self.update(shape, took);
    }

    /// Makes room for measurements of `shape`.
    pub(super) fn expect(&mut self, shape: Shape) {
        if let Err(at) = self.place(shape) {
            self.means.insert(at, (shape, AtomicU64::new(f64::NAN.to_bits())));
        }
    }

    /// Adds a measurement of a shape that there is room for; of others there is none.
    pub(super) fn update(&self, shape: Shape, took: Duration) {
        let Ok(at) = self.place(shape) else { return };
        let (mean, took) = (&self.means[at].1, took.as_secs_f64());
        let before = f64::from_bits(mean.load(Ordering::Relaxed));
        let after = if before.is_nan() { took } else { before + Self::WEIGHT * (took - before) };
        // Of two updates at the same time one may be lost; both are estimates.
        mean.store(after.to_bits(), Ordering::Relaxed);
    }

    /// How long a run of `shape` will take: as measured, or scaled by size from the measured shape
    /// nearest in size. `None` before the first measurement.
    #[must_use]
    pub fn predict(&self, shape: Shape) -> Option<Duration> {
        let measured = |at: usize| {
            let (shape, mean) = &self.means[at];
            let seconds = f64::from_bits(mean.load(Ordering::Relaxed));
            (!seconds.is_nan()).then_some((*shape, seconds))
        };
        if let Some((_, seconds)) = self.place(shape).ok().and_then(measured) {
            return Some(Duration::from_secs_f64(seconds));
        }
        let size = |shape: Shape| (shape.users * shape.candidates * shape.history).max(1) as f64;
        let wanted = size(shape);
        let ratio = |other: Shape| wanted / size(other);
        let nearest = (0..self.means.len())
            .filter_map(measured)
            .min_by(|(a, _), (b, _)| ratio(*a).ln().abs().total_cmp(&ratio(*b).ln().abs()));
        nearest.map(|(known, seconds)| Duration::from_secs_f64(seconds * ratio(known)))
    }

    fn place(&self, shape: Shape) -> Result<usize, usize> {
        self.means.binary_search_by_key(&shape, |(shape, _)| *shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Shape = Shape { users: 1, candidates: 32, history: 10 };
    const LARGE: Shape = Shape { users: 2, candidates: 32, history: 10 };

    #[test]
    fn run_times_follow_measurements_and_scale_to_unmeasured_sizes() {
        let mut times = RunTimes::default();
        assert_eq!(times.predict(SMALL), None);
        times.expect(LARGE);
        assert_eq!(times.predict(SMALL), None);
        times.record(SMALL, Duration::from_millis(10));
        assert_eq!(times.predict(LARGE), Some(Duration::from_millis(20)));
        for _ in 0..50 {
            times.update(SMALL, Duration::from_millis(30));
        }
        let predicted = times.predict(SMALL).unwrap();
        assert!(predicted > Duration::from_millis(29), "{predicted:?}");
        times.update(LARGE, Duration::from_millis(35));
        assert_eq!(times.predict(LARGE), Some(Duration::from_millis(35)));
    }
}
