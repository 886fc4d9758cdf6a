//! Which items are clicked by the same users, close in time.
//!
//! Item-to-item similarity as the cosine of the items' clicks, `n_ij / sqrt(n_i * n_j)` (Sarwar et
//! al., WWW 2001), counting only clicks among a user's last [`WINDOW`] (Linden et al., IEEE Internet
//! Computing 2003, compare purchases of one customer likewise). A click counts half as much with every
//! half-life before the last one.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use plugrank_contract::TimestampMs;

/// A click is paired with so many of the user's clicks before it.
const WINDOW: usize = 20;
/// Neighbours kept of an item.
const KEPT: usize = 50;
/// Neighbours counted of an item at a time; when there are more, the rarer half is forgotten.
const COUNTED: usize = 512;

/// Half-lives after which all counts are taken down, long before an f64 is too small for them.
const HALVINGS: f64 = 200.0;

/// Counts pairs of clicks. Memory: at most [`COUNTED`] pairs an item and [`WINDOW`] clicks a user.
pub(super) struct CoVisitation {
    clicks: Vec<f64>,
    pairs: Vec<HashMap<u32, f64>>,
    recent: HashMap<u32, VecDeque<u32>>,
    half_life: Option<Duration>,
    /// A click of this moment counts 1, a later one more.
    one_at: Option<TimestampMs>,
}

impl CoVisitation {
    /// `half_life`: none where timestamps are no moments.
    pub(super) fn new(items: usize, half_life: Option<Duration>) -> Self {
        let (clicks, pairs) = (vec![0.0; items], vec![HashMap::new(); items]);
        Self { clicks, pairs, recent: HashMap::new(), half_life, one_at: None }
    }

    /// What a click of a moment counts, beside the others.
    fn weight(&mut self, at: TimestampMs) -> f64 {
        let Some(half_life) = self.half_life else { return 1.0 };
        let one_at = *self.one_at.get_or_insert(at);
        let half_lives = at.saturating_sub(one_at) as f64 / half_life.as_millis().max(1) as f64;
        if half_lives < HALVINGS {
            return half_lives.exp2();
        }
        let less = (-half_lives).exp2();
        self.clicks.iter_mut().for_each(|clicks| *clicks *= less);
        self.pairs.iter_mut().flat_map(HashMap::values_mut).for_each(|pair| *pair *= less);
        self.one_at = Some(at);
        1.0
    }

    /// Counts a click, unless it repeats one among the user's last. Clicks must come in the order of time.
    pub(super) fn click(&mut self, user: u32, item: u32, at: TimestampMs) {
        let weight = self.weight(at);
        let recent = self.recent.entry(user).or_default();
        if let Some(place) = recent.iter().position(|other| *other == item) {
            // The same interest, shown again: it would count its pairs twice. It is recent anew.
            recent.remove(place);
            recent.push_back(item);
            return;
        }
        self.clicks[item as usize] += weight;
        for &other in recent.iter() {
            count(&mut self.pairs[item as usize], other, weight);
            count(&mut self.pairs[other as usize], item, weight);
        }
        recent.push_back(item);
        if recent.len() > WINDOW {
            recent.pop_front();
        }
    }

    /// Neighbours of every item that has some, best first.
    pub(super) fn neighbours(self) -> impl Iterator<Item = (u32, Vec<(u32, f32)>)> {
        let Self { clicks, pairs, .. } = self;
        pairs.into_iter().enumerate().filter(|(_, pairs)| !pairs.is_empty()).map(
            move |(item, pairs)| {
                let own = clicks[item];
                let similarity = |(other, together): (u32, f64)| {
                    let norm = (own * clicks[other as usize]).sqrt();
                    // Above 1 only where a user came back to an item after many others. None where both
                    // are so old that nothing is left of them.
                    let cosine = if norm > 0.0 { (together / norm).min(1.0) } else { 0.0 };
                    (other, cosine as f32)
                };
                let mut neighbours: Vec<(u32, f32)> = pairs.into_iter().map(similarity).collect();
                neighbours.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                neighbours.truncate(KEPT);
                (item as u32, neighbours)
            },
        )
    }
}

fn count(pairs: &mut HashMap<u32, f64>, other: u32, weight: f64) {
    *pairs.entry(other).or_insert(0.0) += weight;
    if pairs.len() > COUNTED {
        let mut counts: Vec<f64> = pairs.values().copied().collect();
        let (_, median, _) = counts.select_nth_unstable_by(COUNTED / 2, f64::total_cmp);
        let median = *median;
        pairs.retain(|_, count| *count > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(clicks: &[(u32, u32)], items: usize) -> HashMap<u32, Vec<(u32, f32)>> {
        let mut counts = CoVisitation::new(items, None);
        clicks.iter().for_each(|(user, item)| counts.click(*user, *item, 0));
        counts.neighbours().collect()
    }

    #[test]
    fn similarity_is_the_cosine_of_clicks() {
        // Items 0 and 1 share two users; 0 has three clicks, 1 has two.
        let neighbours = counted(&[(1, 0), (1, 1), (2, 1), (2, 0), (3, 0), (3, 2)], 4);
        let near = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-6;
        assert_eq!(neighbours[&0].iter().map(|(item, _)| *item).collect::<Vec<_>>(), [1, 2]);
        assert!(near(neighbours[&0][0].1, 2.0 / 6f64.sqrt()));
        assert!(near(neighbours[&0][1].1, 1.0 / 3f64.sqrt()));
        assert!(!neighbours.contains_key(&3));
    }

    #[test]
    fn repeated_clicks_are_not_self_co_visits() {
        assert!(counted(&[(1, 0), (1, 0)], 1).is_empty());
    }

    #[test]
    fn alternating_clicks_count_once() {
        let neighbours = counted(&[(1, 0), (1, 1), (1, 0), (1, 1), (2, 0)], 2);
        assert!((f64::from(neighbours[&0][0].1) - 1.0 / 2f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn only_the_users_last_clicks_are_paired() {
        let clicks: Vec<(u32, u32)> = (0..=WINDOW as u32 + 1).map(|item| (7, item)).collect();
        let neighbours = counted(&clicks, clicks.len());
        let last = WINDOW as u32 + 1;
        assert!(neighbours[&last].iter().all(|(item, _)| *item != 0));
        assert!(neighbours[&(last - 1)].iter().any(|(item, _)| *item == 0));
    }

    #[test]
    fn memory_is_bounded_and_the_frequent_pair_survives() {
        let mut pairs = HashMap::new();
        for other in 0..100_000 {
            count(&mut pairs, other, 1.0);
            count(&mut pairs, 1_000_000, 1.0);
            assert!(pairs.len() <= COUNTED);
        }
        assert!(pairs[&1_000_000] > 90_000.0);
    }

    #[test]
    fn click_weights_halve_with_every_half_life() {
        let day = 86_400_000;
        let mut counts = CoVisitation::new(3, Some(Duration::from_secs(86_400)));
        // Items 0 and 1 clicked together twice, long ago; 0 and 2 once, now.
        for (user, item, at) in [(1, 0, 0), (1, 1, 0), (2, 0, 0), (2, 1, 0)] {
            counts.click(user, item, at);
        }
        counts.click(3, 0, 2 * day);
        counts.click(3, 2, 2 * day);
        let neighbours: HashMap<u32, Vec<(u32, f32)>> = counts.neighbours().collect();
        let near = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-6;
        let [(first, of_first), (second, of_second)] = neighbours[&0][..] else { panic!() };
        assert_eq!((first, second), (2, 1));
        // Counted at the last click: 0 has 2/4 + 1 clicks, 1 has 2/4, 2 has 1.
        assert!(
            near(of_first, 1.0 / 1.5f64.sqrt()) && near(of_second, 0.5 / (1.5f64 * 0.5).sqrt())
        );
    }

    #[test]
    fn decayed_counts_stay_finite_over_a_long_log() {
        let day = 86_400_000;
        let mut counts = CoVisitation::new(2, Some(Duration::from_secs(86_400)));
        for at in 0..5_000 {
            counts.click(at, at % 2, i64::from(at) * day);
            counts.click(at, (at + 1) % 2, i64::from(at) * day);
        }
        let neighbours: HashMap<u32, Vec<(u32, f32)>> = counts.neighbours().collect();
        assert!((neighbours[&0][0].1 - 1.0).abs() < 1e-6, "{neighbours:?}");
    }
}
