//! Items clicked together since the start.

use std::{convert::Infallible, sync::Arc};

use parking_lot::Mutex;
use plugrank_contract::ItemIndex;
use quick_cache::sync::Cache;

/// Neighbours kept of an item.
const NEIGHBOURS: usize = 64;

type Neighbours = Vec<(ItemIndex, f32)>;

/// Counts which items one user clicked one after the other. What the loader computed over the past
/// lies in the store; this is what happened since. Bounded: of items it keeps those that are in
/// use, of an item's neighbours the strongest.
pub(crate) struct Pairs {
    items: Cache<ItemIndex, Arc<Mutex<Neighbours>>>,
}

impl Pairs {
    /// For at most so many items.
    pub(crate) fn new(items: u64) -> Self {
        Self { items: Cache::new(usize::try_from(items).unwrap_or(usize::MAX)) }
    }

    /// Adds `weight` to the pair, in both directions.
    pub(crate) fn add(&self, a: ItemIndex, b: ItemIndex, weight: f32) {
        if a != b {
            self.add_one_way(a, b, weight);
            self.add_one_way(b, a, weight);
        }
    }

    /// Neighbours of an item, in no order.
    pub(crate) fn neighbours(&self, item: ItemIndex) -> Neighbours {
        self.items.get(&item).map_or_else(Vec::new, |neighbours| neighbours.lock().clone())
    }

    fn add_one_way(&self, from: ItemIndex, to: ItemIndex, weight: f32) {
        let Ok(neighbours) =
            self.items.get_or_insert_with(&from, || Ok::<_, Infallible>(Arc::default()));
        let mut neighbours = neighbours.lock();
        if let Some((_, total)) = neighbours.iter_mut().find(|(item, _)| *item == to) {
            *total += weight;
        } else if neighbours.len() < NEIGHBOURS {
            neighbours.push((to, weight));
        } else if let Some(weakest) = neighbours.iter_mut().min_by(|a, b| a.1.total_cmp(&b.1))
            && weakest.1 <= weight
        {
            *weakest = (to, weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NEIGHBOURS, Pairs};

    #[test]
    fn pairs_add_up_in_both_directions() {
        let pairs = Pairs::new(100);
        pairs.add(1, 2, 1.0);
        pairs.add(2, 1, 0.5);
        pairs.add(1, 1, 9.0);
        assert_eq!(
            (pairs.neighbours(1), pairs.neighbours(2), pairs.neighbours(3)),
            (vec![(2, 1.5)], vec![(1, 1.5)], vec![])
        );
    }

    #[test]
    fn the_strongest_neighbours_stay() {
        let pairs = Pairs::new(1_000);
        for other in 1..=NEIGHBOURS as u32 {
            pairs.add(0, other, 2.0 + other as f32);
        }
        pairs.add(0, 900, 1.0);
        assert!(!pairs.neighbours(0).iter().any(|(item, _)| *item == 900), "weaker than all");
        pairs.add(0, 901, 4.0);
        let kept = pairs.neighbours(0);
        assert_eq!(kept.len(), NEIGHBOURS);
        assert!(kept.contains(&(901, 4.0)) && !kept.iter().any(|(item, _)| *item == 1));
    }
}
