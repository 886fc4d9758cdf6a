//! What a stage took lately, against its share.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Samples kept at most, so that a flood costs no more than this.
const CAPACITY: usize = 4_096;

/// Times of a stage as parts of its share (1 = all of it), over a sliding window.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    window: Duration,
    samples: VecDeque<(Instant, f64)>,
}

impl Recent {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, samples: VecDeque::new() }
    }

    pub(crate) fn add(&mut self, now: Instant, part: f64) {
        if self.samples.len() == CAPACITY {
            self.samples.pop_front();
        }
        self.samples.push_back((now, part));
    }

    /// Drops what is older than the window.
    pub(crate) fn expire(&mut self, now: Instant) {
        let window = self.window;
        let old = |(at, _): &(Instant, f64)| now.saturating_duration_since(*at) > window;
        while self.samples.front().is_some_and(old) {
            self.samples.pop_front();
        }
    }

    /// When its newest sample is older than the window.
    pub(crate) fn outdated_at(&self) -> Option<Instant> {
        self.samples.back().map(|(at, _)| *at + self.window)
    }

    pub(crate) fn clear(&mut self) {
        self.samples.clear();
    }

    /// Whether the 99th percentile reaches `part`. One or two slow samples are not yet a
    /// percentile, so of few samples three have to reach it.
    pub(crate) fn p99_reaches(&self, part: f64) -> bool {
        let reaching = self.samples.iter().filter(|(_, sample)| *sample >= part).count();
        reaching > (self.samples.len() / 100).max(2)
    }

    /// The 99th percentile (nearest rank); `None` without samples.
    pub(crate) fn p99(&self) -> Option<f64> {
        let mut parts: Vec<f64> = self.samples.iter().map(|(_, part)| *part).collect();
        let rank = (parts.len() * 99).div_ceil(100).checked_sub(1)?;
        Some(*parts.select_nth_unstable_by(rank, f64::total_cmp).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_percentile_is_of_the_window_alone() {
        let mut recent = Recent::new(Duration::from_secs(1));
        assert_eq!(recent.p99(), None);
        for sample in 1..=200 {
            recent.add(Instant::now(), f64::from(sample));
        }
        assert_eq!(recent.p99(), Some(198.0));
        assert!(recent.p99_reaches(198.0) && !recent.p99_reaches(199.0));
        tokio::time::advance(Duration::from_millis(600)).await;
        recent.add(Instant::now(), 0.5);
        tokio::time::advance(Duration::from_millis(600)).await;
        recent.expire(Instant::now());
        assert_eq!(recent.p99(), Some(0.5));
    }

    #[test]
    fn two_slow_samples_are_no_percentile() {
        let mut recent = Recent::new(Duration::from_secs(1));
        (0..2).for_each(|_| recent.add(Instant::now(), 9.0));
        assert!(!recent.p99_reaches(1.0));
        recent.add(Instant::now(), 9.0);
        assert!(recent.p99_reaches(1.0));
    }

    #[test]
    fn a_flood_does_not_grow_it() {
        let mut recent = Recent::new(Duration::from_secs(1));
        (0..2 * CAPACITY).for_each(|_| recent.add(Instant::now(), 1.0));
        assert_eq!(recent.samples.len(), CAPACITY);
    }
}
