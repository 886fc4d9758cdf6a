//! Which items are popular, overall and in each category.

use std::{
    cmp::{Ordering, Reverse},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use plugrank_contract::ItemIndex;
use plugrank_items::{CategoryIndex, ItemTable};
use plugrank_store::ItemStats;
use tokio::time::Instant;

use crate::options::RetrievalOptions;

/// Sorted lists, made once and shared by all requests.
#[derive(Debug, Default)]
pub(crate) struct PopularityLists {
    /// Every available item, most clicked first.
    pub(crate) overall: Vec<ItemIndex>,
    /// By category: the most clicked items of it, most clicked first.
    pub(crate) by_category: Vec<Vec<ItemIndex>>,
    /// Categories that have items, most clicked first.
    pub(crate) categories: Vec<CategoryIndex>,
}

impl PopularityLists {
    /// Sorts the catalog. Returns as well the items that no list had before.
    fn rank(items: &ItemTable, options: &RetrievalOptions) -> (Self, Vec<ItemIndex>) {
        let view = items.view();
        let half_life = options.popular.half_life();
        // All halve alike, so their order at one moment is that at any.
        let ends = (0..view.index_end()).map(|index| view.stats(index).popularity.at);
        let moment = ends.max().unwrap_or(0);
        let popularity = |stats: &ItemStats| stats.popularity.value_at(moment, half_life);
        let mut rows: Vec<(Descending, Reverse<u64>, Reverse<i64>, ItemIndex)> = (0..view
            .index_end())
            .filter(|&index| view.available(index))
            .map(|index| {
                let created_at = view.created_at(index).unwrap_or(i64::MIN);
                let stats = view.stats(index);
                let popular = Descending(popularity(&stats));
                (popular, Reverse(stats.clicks), Reverse(created_at), index)
            })
            .collect();
        // Those that the view has: what came after it stays unlisted.
        let new = view.unlisted().collect();
        // By how often an item is clicked, later clicks and stronger events counting more, not by how
        // large a share of its impressions are clicks: of later clicks the former finds more
        // (training/PROTOCOL.md, "Sources"). Among equals the newer one first.
        rows.sort_unstable();
        let overall: Vec<ItemIndex> = rows.iter().map(|(.., index)| *index).collect();
        drop(rows);

        let mut by_category = vec![Vec::new(); view.category_end() as usize];
        let mut interest = vec![(0.0, 0u64); by_category.len()];
        for &index in &overall {
            for &category in view.categories(index) {
                let list: &mut Vec<ItemIndex> = &mut by_category[category as usize];
                if list.len() < options.category.list_length {
                    list.push(index);
                }
                let stats = view.stats(index);
                let (weight, clicks) = &mut interest[category as usize];
                *weight += popularity(&stats);
                *clicks += stats.clicks;
            }
        }
        let mut categories: Vec<CategoryIndex> = (0..by_category.len() as CategoryIndex)
            .filter(|&category| !by_category[category as usize].is_empty())
            .collect();
        categories.sort_by_key(|&category| {
            let (weight, clicks) = interest[category as usize];
            (Descending(weight), Reverse(clicks))
        });
        (Self { overall, by_category, categories }, new)
    }
}

/// A number whose greater ones come first.
#[derive(Clone, Copy, Debug)]
struct Descending(f64);

impl Ord for Descending {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.total_cmp(&self.0)
    }
}

impl PartialOrd for Descending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Descending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Descending {}

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
        let (lists, new) = PopularityLists::rank(items, options);
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

    use plugrank_store::{Decayed, ItemStats};

    use super::{Popularity, PopularityLists};
    use crate::{
        options::RetrievalOptions,
        testing::{item, put, table},
    };

    fn stats(clicks: u64, impressions: u64) -> ItemStats {
        ItemStats { impressions, clicks, ..ItemStats::default() }
    }

    #[test]
    fn popular_items_sort_by_clicks_without_unavailable_ones() {
        let items = table([]);
        let mut gone = item("gone", &["x"], None);
        gone.available = false;
        for (item, stats) in [
            (item("liked", &["x"], None), stats(9, 10)),
            (item("known", &["x", "y"], None), stats(80, 1000)),
            (item("old", &["y"], Some(1)), stats(0, 0)),
            (item("new", &["y"], Some(2)), stats(0, 0)),
            (gone, stats(9, 9)),
        ] {
            let index = put(&items, &item);
            items.set_stats(index, stats);
        }
        let (lists, new) = PopularityLists::rank(&items, &RetrievalOptions::default());
        assert_eq!(new, [0, 1, 2, 3]);
        assert_eq!(lists.overall, [1, 0, 3, 2]);
        assert_eq!(lists.by_category, [vec![1, 0], vec![1, 3, 2]]);
        assert_eq!(lists.categories, [0, 1]);
    }

    #[test]
    fn later_events_count_more() {
        let items = table([]);
        let day = 86_400_000;
        for (id, value, at) in
            [("old", 9.0, 0), ("late", 2.0, 100 * day), ("disliked", -1.0, 100 * day)]
        {
            let index = put(&items, &item(id, &[id], None));
            let popularity = Decayed { value, at };
            items.set_stats(index, ItemStats { popularity, ..stats(5, 5) });
        }
        let (lists, _) = PopularityLists::rank(&items, &RetrievalOptions::default());
        assert_eq!(lists.overall, [1, 0, 2]);
        assert_eq!(lists.categories, [1, 0, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn lists_are_recomputed_after_the_interval_and_only_after_changes() {
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
