//! What a stage took lately, against its share.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Samples kept at most, so that a flood costs no more than this.
const CAPACITY: usize = 4_096;

/// Times of a stage as parts of its share (1 = all of it), over a sliding window. How many of them
/// reach each threshold is counted as they come and go, so a look at them costs the same however
/// many there are.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    window: Duration,
    thresholds: Thresholds,
    samples: VecDeque<(Instant, f64)>,
    reach_down: usize,
    reach_up: usize,
}

/// Parts of a share that the 99th percentile is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Thresholds {
    /// From here on a stage steps down.
    pub(crate) down_at: f64,
    /// Below it a stage has room.
    pub(crate) up_at: f64,
}

impl Recent {
    pub(crate) fn new(window: Duration, thresholds: Thresholds) -> Self {
        Self { window, thresholds, samples: VecDeque::new(), reach_down: 0, reach_up: 0 }
    }

    pub(crate) fn add(&mut self, now: Instant, part: f64) {
        if self.samples.len() == CAPACITY {
            self.drop_oldest();
        }
        self.samples.push_back((now, part));
        self.reach_down += usize::from(part >= self.thresholds.down_at);
        self.reach_up += usize::from(part >= self.thresholds.up_at);
    }

    fn drop_oldest(&mut self) {
        if let Some((_, part)) = self.samples.pop_front() {
            self.reach_down -= usize::from(part >= self.thresholds.down_at);
            self.reach_up -= usize::from(part >= self.thresholds.up_at);
        }
    }

    /// Drops what is older than the window.
    pub(crate) fn expire(&mut self, now: Instant) {
        let window = self.window;
        let old = |(at, _): &(Instant, f64)| now.saturating_duration_since(*at) > window;
        while self.samples.front().is_some_and(old) {
            self.drop_oldest();
        }
    }

    /// When its newest sample is older than the window.
    pub(crate) fn outdated_at(&self) -> Option<Instant> {
        self.samples.back().map(|(at, _)| *at + self.window)
    }

    pub(crate) fn clear(&mut self) {
        self.samples.clear();
        (self.reach_down, self.reach_up) = (0, 0);
    }

    /// Whether the 99th percentile reaches the threshold for a step down.
    pub(crate) fn p99_reaches_down(&self) -> bool {
        self.is_p99(self.reach_down)
    }

    /// Whether the 99th percentile reaches the threshold below which there is room.
    pub(crate) fn p99_reaches_up(&self) -> bool {
        self.is_p99(self.reach_up)
    }

    /// Whether so many samples make a 99th percentile. One or two slow samples do not yet, so of
    /// few samples three have to reach a threshold.
    fn is_p99(&self, reaching: usize) -> bool {
        reaching > (self.samples.len() / 100).max(2)
    }

    /// The 99th percentile (nearest rank); `None` without samples. Reads all samples, so it is for
    /// steps and scrapes.
    pub(crate) fn p99(&self) -> Option<f64> {
        let mut parts: Vec<f64> = self.samples.iter().map(|(_, part)| *part).collect();
        let rank = (parts.len() * 99).div_ceil(100).checked_sub(1)?;
        Some(*parts.select_nth_unstable_by(rank, f64::total_cmp).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(down_at: f64, up_at: f64) -> Recent {
        Recent::new(Duration::from_secs(1), Thresholds { down_at, up_at })
    }

    #[tokio::test(start_paused = true)]
    async fn the_percentile_covers_the_window_only() {
        let mut recent = recent(199.0, 198.0);
        assert_eq!(recent.p99(), None);
        for sample in 1..=200 {
            recent.add(Instant::now(), f64::from(sample));
        }
        assert_eq!(recent.p99(), Some(198.0));
        assert!(recent.p99_reaches_up() && !recent.p99_reaches_down());
        tokio::time::advance(Duration::from_millis(600)).await;
        recent.add(Instant::now(), 0.5);
        tokio::time::advance(Duration::from_millis(600)).await;
        recent.expire(Instant::now());
        assert_eq!(recent.p99(), Some(0.5));
        assert_eq!((recent.reach_down, recent.reach_up), (0, 0));
    }

    #[test]
    fn too_few_samples_have_no_percentile() {
        let mut recent = recent(1.0, 0.6);
        (0..2).for_each(|_| recent.add(Instant::now(), 9.0));
        assert!(!recent.p99_reaches_down());
        recent.add(Instant::now(), 9.0);
        assert!(recent.p99_reaches_down());
    }

    #[test]
    fn memory_is_bounded_under_many_samples() {
        let mut recent = recent(1.0, 0.6);
        (0..2 * CAPACITY).for_each(|_| recent.add(Instant::now(), 1.0));
        assert_eq!(recent.samples.len(), CAPACITY);
        assert_eq!((recent.reach_down, recent.reach_up), (CAPACITY, CAPACITY));
        (0..CAPACITY).for_each(|_| recent.add(Instant::now(), 0.7));
        assert_eq!((recent.reach_down, recent.reach_up), (0, CAPACITY));
    }
}
