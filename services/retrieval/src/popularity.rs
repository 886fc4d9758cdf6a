//! Which items are popular, overall and in each category.

use std::{
    cmp::Ordering,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use plugrank_contract::ItemIndex;
use plugrank_items::{CategoryIndex, ItemTable};
use tokio::time::Instant;

use crate::options::RetrievalOptions;

/// Sorted lists, made once and shared by all requests.
#[derive(Debug, Default)]
pub(crate) struct PopularityLists {
    /// Every available item, best first.
    pub(crate) overall: Vec<ItemIndex>,
    /// By category: the best items of it, best first.
    pub(crate) by_category: Vec<Vec<ItemIndex>>,
    /// Categories that have items, most clicked first.
    pub(crate) categories: Vec<CategoryIndex>,
}

/// Lower bound of the click rate behind `clicks` out of `impressions`, `z` standard deviations
/// below: a high rate counts for more the more often it was seen. 0 without impressions.
/// Score interval of E. B. Wilson, JASA 22 (1927): with p = c/n,
/// `(p + z²/2n - z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)`.
pub(crate) fn wilson_lower_bound(clicks: u64, impressions: u64, z: f64) -> f64 {
    // A click that no impression was logged for was still seen.
    let shown = impressions.max(clicks) as f64;
    if shown == 0.0 {
        return 0.0;
    }
    let rate = clicks as f64 / shown;
    let square = z * z / shown;
    let spread = z * (rate * (1.0 - rate) / shown + square / (4.0 * shown)).sqrt();
    ((rate + square / 2.0 - spread) / (1.0 + square)).max(0.0)
}

impl PopularityLists {
    /// Sorts the catalog. Returns as well the items that no list had before.
    fn of(items: &ItemTable, options: &RetrievalOptions) -> (Self, Vec<ItemIndex>) {
        struct Row {
            score: f32,
            index: ItemIndex,
            created_at: i64,
        }
        let view = items.view();
        let mut rows: Vec<Row> = (0..view.index_end())
            .filter(|&index| view.available(index))
            .map(|index| {
                let stats = view.stats(index);
                let score = wilson_lower_bound(stats.clicks, stats.impressions, options.popular.z);
                let created_at = view.created_at(index).unwrap_or(i64::MIN);
                Row { score: score as f32, index, created_at }
            })
            .collect();
        // Those that the view has: what came after it stays unlisted.
        let new = view.unlisted().collect();
        // Items nobody has seen all score 0; among equals the newer one first.
        rows.sort_unstable_by(|a, b| {
            let by_score = b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
            by_score.then(b.created_at.cmp(&a.created_at)).then(a.index.cmp(&b.index))
        });
        let overall: Vec<ItemIndex> = rows.iter().map(|row| row.index).collect();
        drop(rows);

        let mut by_category = vec![Vec::new(); view.category_end() as usize];
        let mut clicks = vec![0u64; by_category.len()];
        for &index in &overall {
            for &category in view.categories(index) {
                let list: &mut Vec<ItemIndex> = &mut by_category[category as usize];
                if list.len() < options.category.list_length {
                    list.push(index);
                }
                clicks[category as usize] += view.stats(index).clicks;
            }
        }
        let mut categories: Vec<CategoryIndex> = (0..by_category.len() as CategoryIndex)
            .filter(|&category| !by_category[category as usize].is_empty())
            .collect();
        categories.sort_by_key(|&category| std::cmp::Reverse(clicks[category as usize]));
        (Self { overall, by_category, categories }, new)
    }
}

/// Keeps the lists and knows when they are due again.
#[derive(Debug)]
pub(crate) struct Popularity {
    lists: ArcSwap<PopularityLists>,
    /// Whether items or statistics changed since the lists were last due.
    changed: AtomicBool,
    due: Mutex<Due>,
}

#[derive(Debug)]
struct Due {
    running: bool,
    made_at: Instant,
}

impl Popularity {
    /// Lists of the catalog as it is.
    pub(crate) fn new(items: &ItemTable, options: &RetrievalOptions) -> Self {
        let due = Mutex::new(Due { running: false, made_at: Instant::now() });
        let popularity = Self { lists: ArcSwap::default(), changed: AtomicBool::new(false), due };
        popularity.make(items, options);
        popularity
    }

    fn make(&self, items: &ItemTable, options: &RetrievalOptions) {
        let (lists, new) = PopularityLists::of(items, options);
        // In this order, so that an item is always in the lists or among the unlisted. Whoever reads
        // both reads the unlisted first.
        self.lists.store(Arc::new(lists));
        items.listed(&new);
    }

    /// The lists of now.
    pub(crate) fn lists(&self) -> Arc<PopularityLists> {
        self.lists.load_full()
    }

    /// Says that items or statistics changed.
    pub(crate) fn changed(&self) {
        self.changed.store(true, Relaxed);
    }

    /// Whether the lists are to be made again now; when so, the caller must call [`Self::remake`].
    pub(crate) fn take_turn(&self, options: &RetrievalOptions) -> bool {
        if !self.changed.load(Relaxed) {
            return false;
        }
        let mut due = self.due.lock();
        let turn = !due.running && due.made_at.elapsed() >= options.popular.refresh_every();
        if turn {
            due.running = true;
            // Reset before the catalog is read: a change that comes after that counts again.
            self.changed.store(false, Relaxed);
        }
        turn
    }

    /// Makes the lists again. Takes a tenth of a second or so for a million items.
    pub(crate) fn remake(&self, items: &ItemTable, options: &RetrievalOptions) {
        let _turn = Turn(&self.due);
        self.make(items, options);
    }
}

/// Gives the turn back, even when making the lists panicked.
struct Turn<'a>(&'a Mutex<Due>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut due = self.0.lock();
        due.running = false;
        due.made_at = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plugrank_store::ItemStats;

    use super::{Popularity, PopularityLists, wilson_lower_bound};
    use crate::{
        options::RetrievalOptions,
        testing::{item, put, table},
    };

    fn stats(clicks: u64, impressions: u64) -> ItemStats {
        ItemStats { impressions, clicks }
    }

    #[test]
    fn wilson_agrees_with_known_values() {
        // Worked out by hand from the formula: 10 of 100 at 95% gives [0.0552, 0.1744].
        assert!((wilson_lower_bound(10, 100, 1.96) - 0.05523).abs() < 1e-4);
        assert!((wilson_lower_bound(1, 1, 1.96) - 0.20655).abs() < 1e-4);
        assert_eq!(wilson_lower_bound(0, 0, 1.96), 0.0);
        assert_eq!(wilson_lower_bound(0, 50, 1.96), 0.0);
        assert_eq!(wilson_lower_bound(3, 4, 0.0), 0.75);
    }

    #[test]
    fn volume_counts_and_unavailable_items_are_left_out() {
        let items = table([]);
        let mut gone = item("gone", &["x"], None);
        gone.available = false;
        for (item, stats) in [
            (item("lucky", &["x"], None), stats(1, 1)),
            (item("proven", &["x", "y"], None), stats(800, 1000)),
            (item("old", &["y"], Some(1)), stats(0, 0)),
            (item("new", &["y"], Some(2)), stats(0, 0)),
            (gone, stats(9, 9)),
        ] {
            let index = put(&items, &item);
            items.set_stats(index, stats);
        }
        let (lists, new) = PopularityLists::of(&items, &RetrievalOptions::default());
        assert_eq!(new, [0, 1, 2, 3]);
        assert_eq!(lists.overall, [1, 0, 3, 2]);
        assert_eq!(lists.by_category, [vec![1, 0], vec![1, 3, 2]]);
        assert_eq!(lists.categories, [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_made_again_after_a_while_and_only_when_something_changed() {
        let options = RetrievalOptions::default();
        let items = table([]);
        let popularity = Popularity::new(&items, &options);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!popularity.take_turn(&options));
        put(&items, &item("a", &[], None));
        popularity.changed();
        assert!(popularity.take_turn(&options));
        assert!(!popularity.take_turn(&options), "one at a time");
        popularity.remake(&items, &options);
        assert_eq!(popularity.lists().overall, [0]);
        assert_eq!(items.view().unlisted().count(), 0);
        popularity.changed();
        assert!(!popularity.take_turn(&options), "not before the interval has passed");
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(popularity.take_turn(&options));
    }
}
