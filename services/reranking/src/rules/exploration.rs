//! Exploration: some places are kept for fresh items that would not have made it, so that an item
//! without history gets a chance to be seen.

use plugrank_contract::{TimestampMs, retrieval::Name};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Applied, Field, Rule};
use crate::{RerankingOptions, place::FilledPlace};

/// What a place says that was kept for a fresh item.
pub const EXPLORED: Name = Name::Borrowed("explored");

/// A day, in milliseconds.
const DAY_MS: TimestampMs = 86_400_000;

/// Puts fresh candidates that were not placed into slots kept for them; as many of the last placed
/// ones give way. Which ones is drawn evenly from the request's seed. Only those that the other rules
/// still have room for are drawn.
#[derive(Debug)]
pub struct Exploration {
    slots: Slots,
}

impl Exploration {
    /// With these settings.
    #[must_use]
    pub fn new(options: &RerankingOptions) -> Self {
        let fresh_ms = TimestampMs::from(options.fresh_days) * DAY_MS;
        Self { slots: Slots { share: options.exploration_share, fresh_ms } }
    }
}

impl Rule for Exploration {
    fn name(&self) -> &'static str {
        "exploration"
    }

    fn begin(&self, _: &Field<'_>) -> Option<Box<dyn Applied>> {
        (self.slots.share > 0.0).then(|| -> Box<dyn Applied> { Box::new(self.slots) })
    }
}

#[derive(Clone, Copy, Debug)]
struct Slots {
    /// Share of the places.
    share: f64,
    /// Age up to which an item is fresh.
    fresh_ms: TimestampMs,
}

/// Whether an item that entered the catalog at `created_at` is at most `fresh_ms` old at a moment. One that is not
/// yet there, or whose time of creation nobody knows, is not.
#[must_use]
pub fn is_fresh(
    created_at: Option<TimestampMs>,
    as_of: TimestampMs,
    fresh_ms: TimestampMs,
) -> bool {
    created_at
        .and_then(|created_at| as_of.checked_sub(created_at))
        .is_some_and(|age| (0..=fresh_ms).contains(&age))
}

/// How many of `k` places are explored: the share of them, its fraction drawn, so that the share
/// holds on average for small `k` too.
fn slots(rng: &mut ChaCha8Rng, k: usize, share: f64) -> usize {
    let wanted = share * k as f64;
    wanted as usize + usize::from(rng.random::<f64>() < wanted.fract())
}

/// Places for `count` items among `k`, one drawn from each of `count` equal stretches, never the
/// first place. Rising.
fn positions(rng: &mut ChaCha8Rng, k: usize, count: usize) -> Vec<usize> {
    let stretch = |n: usize| 1 + n * (k - 1) / count;
    (0..count).map(|n| rng.random_range(stretch(n)..stretch(n + 1))).collect()
}

impl Applied for Slots {
    fn finish(
        &mut self,
        field: &Field<'_>,
        places: &mut Vec<FilledPlace>,
        others: &mut [Box<dyn Applied>],
    ) {
        let k = places.len();
        if k < 2 {
            return;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(field.seed);
        let slots = slots(&mut rng, k, self.share).min(k - 1);
        if slots == 0 {
            return;
        }
        let mut placed = vec![false; field.ctr.len()];
        places.iter().for_each(|place| placed[place.item] = true);
        let mut fresh: Vec<usize> = (0..field.ctr.len())
            .filter(|item| !placed[*item] && field.ctr[*item].is_finite())
            .filter(|item| is_fresh(field.facts.created_at(*item), field.as_of, self.fresh_ms))
            .collect();
        fresh.shuffle(&mut rng);
        let mut explored = Vec::with_capacity(slots);
        for item in fresh {
            if explored.len() == slots {
                break;
            }
            if others.iter().all(|rule| rule.has_room(field, item)) {
                others.iter_mut().for_each(|rule| rule.moved_in(field, item));
                explored.push(item);
            }
        }
        places.truncate(k - explored.len());
        for (position, item) in positions(&mut rng, k, explored.len()).into_iter().zip(explored) {
            // Its place is kept, not earned: its score is that of the place before.
            let score = places[position - 1].score;
            places.insert(position, FilledPlace { item, score, rule: EXPLORED });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_is_a_window_that_ends_at_the_request() {
        let fresh = |created_at| is_fresh(created_at, 1_000, 100);
        assert!(fresh(Some(900)) && fresh(Some(1_000)));
        assert!(!fresh(Some(899)) && !fresh(Some(1_001)) && !fresh(None));
        assert!(!fresh(Some(i64::MIN)));
    }

    #[test]
    fn the_share_holds_on_average() {
        let total: usize =
            (0..10_000).map(|seed| slots(&mut ChaCha8Rng::seed_from_u64(seed), 10, 0.05)).sum();
        assert!((4_500..5_500).contains(&total), "{total} of 5000");
        assert_eq!(slots(&mut ChaCha8Rng::seed_from_u64(1), 20, 0.1), 2);
    }

    #[test]
    fn positions_are_spread_and_never_the_first() {
        for seed in 0..200 {
            let places = positions(&mut ChaCha8Rng::seed_from_u64(seed), 21, 4);
            for (stretch, place) in places.iter().enumerate() {
                assert!((1 + stretch * 5..6 + stretch * 5).contains(place), "{places:?}");
            }
        }
    }
}
