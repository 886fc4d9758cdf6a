//! Items clicked together, by the log of events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use parking_lot::Mutex;
use plugrank_contract::{ItemIndex, TimestampMs};
use plugrank_store::share_left;
use quick_cache::sync::Cache;

/// Neighbours kept of an item.
const NEIGHBOURS: usize = 64;

/// Neighbours of one item, with what each weighs at the same moment: at another one all of them weigh by the
/// same factor more or less, so that reading them takes one power and not one a neighbour.
#[derive(Default)]
struct Neighbours {
    at: TimestampMs,
    weights: Vec<(ItemIndex, f64)>,
}

impl Neighbours {
    /// Adds a weight of a moment.
    fn add(&mut self, to: ItemIndex, weight: f64, at: TimestampMs, half_life: Duration) {
        if self.weights.is_empty() {
            self.at = at;
        } else if at > self.at {
            let factor = share_left(self.at, at, half_life);
            self.weights.iter_mut().for_each(|(_, weight)| *weight *= factor);
            self.at = at;
        }
        // What comes late counts as if it had come in time.
        let weight = weight * share_left(at, self.at, half_life);
        if let Some((_, total)) = self.weights.iter_mut().find(|(item, _)| *item == to) {
            *total += weight;
        } else if self.weights.len() < NEIGHBOURS {
            self.weights.push((to, weight));
        } else if let Some(weakest) = self.weights.iter_mut().min_by(|a, b| a.1.total_cmp(&b.1))
            && weakest.1 <= weight
        {
            *weakest = (to, weight);
        }
    }
}

/// Counts which items one user clicked one after the other, each pair half as much with every half-life.
/// What the loader computed over the past lies in the store; this is what events told since. Bounded: of
/// items it keeps those that are in use, of an item's neighbours the strongest.
pub(crate) struct Pairs {
    items: Cache<ItemIndex, Arc<Mutex<Neighbours>>>,
    half_life: Duration,
}

impl Pairs {
    /// For at most so many items.
    pub(crate) fn new(items: u64, half_life: Duration) -> Self {
        Self { items: Cache::new(usize::try_from(items).unwrap_or(usize::MAX)), half_life }
    }

    /// Adds `weight`, of a moment, to the pair, in both directions.
    pub(crate) fn add(&self, a: ItemIndex, b: ItemIndex, weight: f64, at: TimestampMs) {
        if a != b && weight > 0.0 {
            self.add_one_way(a, b, weight, at);
            self.add_one_way(b, a, weight, at);
        }
    }

    /// Neighbours of an item with what they weigh at a moment, in no order.
    pub(crate) fn neighbours(&self, item: ItemIndex, moment: TimestampMs) -> Vec<(ItemIndex, f32)> {
        let Some(neighbours) = self.items.get(&item) else { return Vec::new() };
        let neighbours = neighbours.lock();
        let factor = share_left(neighbours.at, moment, self.half_life);
        let now = |(item, weight): &(ItemIndex, f64)| (*item, (weight * factor) as f32);
        neighbours.weights.iter().map(now).collect()
    }

    fn add_one_way(&self, from: ItemIndex, to: ItemIndex, weight: f64, at: TimestampMs) {
        let Ok(neighbours) =
            self.items.get_or_insert_with(&from, || Ok::<_, Infallible>(Arc::default()));
        neighbours.lock().add(to, weight, at, self.half_life);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{NEIGHBOURS, Pairs};

    const HALF_LIFE: Duration = Duration::from_secs(60);

    fn pairs() -> Pairs {
        Pairs::new(1_000, HALF_LIFE)
    }

    #[test]
    fn pair_counts_are_symmetric() {
        let pairs = pairs();
        pairs.add(1, 2, 1.0, 0);
        pairs.add(2, 1, 0.5, 0);
        pairs.add(1, 1, 9.0, 0);
        assert_eq!(
            (pairs.neighbours(1, 0), pairs.neighbours(2, 0), pairs.neighbours(3, 0)),
            (vec![(2, 1.5)], vec![(1, 1.5)], vec![])
        );
    }

    #[test]
    fn older_pairs_count_less() {
        let pairs = pairs();
        pairs.add(1, 2, 4.0, 0);
        pairs.add(1, 3, 3.0, 60_000);
        assert_eq!(pairs.neighbours(1, 60_000), [(2, 2.0), (3, 3.0)]);
        pairs.add(1, 2, 2.0, 60_000);
        assert_eq!(pairs.neighbours(1, 120_000), [(2, 2.0), (3, 1.5)]);
    }

    #[test]
    fn the_strongest_neighbours_stay() {
        let pairs = pairs();
        for other in 1..=NEIGHBOURS as u32 {
            pairs.add(0, other, 2.0 + f64::from(other), 0);
        }
        pairs.add(0, 900, 1.0, 0);
        let kept = pairs.neighbours(0, 0);
        assert!(!kept.iter().any(|(item, _)| *item == 900), "weaker than all");
        pairs.add(0, 901, 4.0, 0);
        let kept = pairs.neighbours(0, 0);
        assert_eq!(kept.len(), NEIGHBOURS);
        assert!(kept.contains(&(901, 4.0)) && !kept.iter().any(|(item, _)| *item == 1));
        pairs.add(0, 902, 2.0, 120_000);
        assert!(pairs.neighbours(0, 120_000).contains(&(902, 2.0)), "the others are a quarter now");
    }
}
