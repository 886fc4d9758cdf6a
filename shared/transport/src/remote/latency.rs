//! What recent calls took, and so when one has waited unusually long.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

/// Calls that count as recent.
const RECENT: usize = 200;
/// Fewer than these say nothing.
const ENOUGH: usize = 20;
/// The quantile is taken anew after this many calls.
const EVERY: usize = 10;

/// Times of recent calls, of each kind apart: a fetch of vectors takes another time than a scoring.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Mutex<HashMap<&'static str, Recent>>);

impl Latencies {
    /// Adds what a call took.
    ///
    /// A call that was given up counts with the time it had waited: left out, the slow ones would
    /// vanish, and what is usual would seem ever shorter.
    pub(crate) fn add(&self, path: &'static str, took: Duration) {
        self.0.lock().entry(path).or_default().add(took);
    }

    /// What 95 of 100 recent calls took at most; `None` while there were too few.
    pub(crate) fn p95(&self, path: &'static str) -> Option<Duration> {
        self.0.lock().get(path)?.p95
    }
}

#[derive(Debug, Default)]
struct Recent {
    times: Vec<Duration>,
    added: usize,
    p95: Option<Duration>,
}

impl Recent {
    fn add(&mut self, took: Duration) {
        if self.times.len() < RECENT {
            self.times.push(took);
        } else {
            self.times[self.added % RECENT] = took;
        }
        self.added += 1;
        if self.times.len() >= ENOUGH && self.added.is_multiple_of(EVERY) {
            let mut times = self.times.clone();
            let at = (times.len() - 1) * 95 / 100;
            self.p95 = Some(*times.select_nth_unstable(at).1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_follows_recent_calls_of_its_kind() {
        let latencies = Latencies::default();
        for ms in 1..ENOUGH as u64 {
            latencies.add("/a", Duration::from_millis(ms));
        }
        assert_eq!(latencies.p95("/a"), None);
        for ms in ENOUGH as u64..=100 {
            latencies.add("/a", Duration::from_millis(ms));
        }
        assert_eq!(latencies.p95("/a"), Some(Duration::from_millis(95)));
        assert_eq!(latencies.p95("/b"), None);
        for _ in 0..RECENT {
            latencies.add("/a", Duration::from_millis(7));
        }
        assert_eq!(latencies.p95("/a"), Some(Duration::from_millis(7)));
    }
}
