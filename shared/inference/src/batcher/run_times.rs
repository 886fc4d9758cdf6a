//! How long a run of each shape takes.

use std::{collections::HashMap, time::Duration};

use super::shape::Shape;

/// Exponentially weighted mean of measured run times, by shape.
#[derive(Clone, Debug, Default)]
pub struct RunTimes {
    seconds: HashMap<Shape, f64>,
}

impl RunTimes {
    /// Weight of the newest measurement.
    const WEIGHT: f64 = 0.2;

    /// Adds a measurement.
    pub fn record(&mut self, shape: Shape, took: Duration) {
        let took = took.as_secs_f64();
        self.seconds
            .entry(shape)
            .and_modify(|mean| *mean += Self::WEIGHT * (took - *mean))
            .or_insert(took);
    }

    /// How long a run of `shape` will take: as measured, or scaled by size from the measured shape
    /// nearest in size. `None` before the first measurement.
    #[must_use]
    pub fn predict(&self, shape: Shape) -> Option<Duration> {
        if let Some(seconds) = self.seconds.get(&shape) {
            return Some(Duration::from_secs_f64(*seconds));
        }
        let size = |shape: Shape| (shape.users * shape.candidates * shape.history).max(1) as f64;
        let wanted = size(shape);
        let ratio = |other: Shape| wanted / size(other);
        let nearest = self
            .seconds
            .iter()
            .min_by(|(a, _), (b, _)| ratio(**a).ln().abs().total_cmp(&ratio(**b).ln().abs()));
        nearest.map(|(known, seconds)| Duration::from_secs_f64(seconds * ratio(*known)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Shape = Shape { users: 1, candidates: 32, history: 10 };
    const LARGE: Shape = Shape { users: 2, candidates: 32, history: 10 };

    #[test]
    fn follows_measurements_and_scales_to_sizes_not_measured() {
        let mut times = RunTimes::default();
        assert_eq!(times.predict(SMALL), None);
        times.record(SMALL, Duration::from_millis(10));
        assert_eq!(times.predict(LARGE), Some(Duration::from_millis(20)));
        for _ in 0..50 {
            times.record(SMALL, Duration::from_millis(30));
        }
        let predicted = times.predict(SMALL).unwrap();
        assert!(predicted > Duration::from_millis(29), "{predicted:?}");
    }
}
