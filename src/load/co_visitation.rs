//! Which items are clicked by the same users, close in time.
//!
//! Item-to-item similarity as the cosine of the items' clicks, `n_ij / sqrt(n_i * n_j)` (Sarwar et
//! al., WWW 2001), counting only clicks among a user's last [`WINDOW`] (Linden et al., IEEE Internet
//! Computing 2003, compare purchases of one customer likewise).

use std::collections::{HashMap, VecDeque};

/// A click is paired with so many of the user's clicks before it.
const WINDOW: usize = 20;
/// Neighbours kept of an item.
const KEPT: usize = 50;
/// Neighbours counted of an item at a time; when there are more, the rarer half is forgotten.
const COUNTED: usize = 512;

/// Counts pairs of clicks. Memory: at most [`COUNTED`] pairs an item and [`WINDOW`] clicks a user.
pub(super) struct CoVisitation {
    clicks: Vec<u32>,
    pairs: Vec<HashMap<u32, u32>>,
    recent: HashMap<u32, VecDeque<u32>>,
}

impl CoVisitation {
    pub(super) fn new(items: usize) -> Self {
        Self { clicks: vec![0; items], pairs: vec![HashMap::new(); items], recent: HashMap::new() }
    }

    /// Counts a click, unless it repeats one among the user's last. Clicks of one user must come in
    /// the order of time.
    pub(super) fn click(&mut self, user: u32, item: u32) {
        let recent = self.recent.entry(user).or_default();
        if let Some(place) = recent.iter().position(|other| *other == item) {
            // The same interest, shown again: it would count its pairs twice. It is recent anew.
            recent.remove(place);
            recent.push_back(item);
            return;
        }
        self.clicks[item as usize] += 1;
        for &other in recent.iter() {
            count(&mut self.pairs[item as usize], other);
            count(&mut self.pairs[other as usize], item);
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
                let own = f64::from(clicks[item]);
                let similarity = |(other, together): (u32, u32)| {
                    let norm = (own * f64::from(clicks[other as usize])).sqrt();
                    // Above 1 only where a user came back to an item after many others.
                    (other, (f64::from(together) / norm).min(1.0) as f32)
                };
                let mut neighbours: Vec<(u32, f32)> = pairs.into_iter().map(similarity).collect();
                neighbours.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                neighbours.truncate(KEPT);
                (item as u32, neighbours)
            },
        )
    }
}

fn count(pairs: &mut HashMap<u32, u32>, other: u32) {
    *pairs.entry(other).or_insert(0) += 1;
    if pairs.len() > COUNTED {
        let mut counts: Vec<u32> = pairs.values().copied().collect();
        let (_, median, _) = counts.select_nth_unstable(COUNTED / 2);
        let median = *median;
        pairs.retain(|_, count| *count > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(clicks: &[(u32, u32)], items: usize) -> HashMap<u32, Vec<(u32, f32)>> {
        let mut counts = CoVisitation::new(items);
        clicks.iter().for_each(|(user, item)| counts.click(*user, *item));
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
    fn a_repeated_click_is_no_neighbour_of_itself() {
        assert!(counted(&[(1, 0), (1, 0)], 1).is_empty());
    }

    #[test]
    fn going_back_and_forth_counts_once() {
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
            count(&mut pairs, other);
            count(&mut pairs, 1_000_000);
            assert!(pairs.len() <= COUNTED);
        }
        assert!(pairs[&1_000_000] > 90_000);
    }
}
