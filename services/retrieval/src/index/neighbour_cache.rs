//! Neighbours of single items, kept from request to request.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use plugrank_contract::ItemIndex;
use quick_cache::sync::Cache;

use super::AnnIndex;
use crate::RetrievalError;

/// Neighbours kept of an item.
const NEIGHBOURS: usize = 128;
/// Most of them that are asked for. The others make up for those that a request does not want.
const MOST: usize = NEIGHBOURS * 3 / 4;
/// Items whose neighbours are kept: those that users click, half a kilobyte each.
const ITEMS: usize = 16_384;

/// What is near to an item is near to it for every user who clicked it, so it is searched for once
/// and filtered for each of them. A change to the index makes all of it out of date.
pub(crate) struct NeighbourCache {
    /// By item: the number of changes to the index before the search, and what it found, nearest
    /// first.
    lists: Cache<ItemIndex, (u64, Arc<[ItemIndex]>)>,
    changes: AtomicU64,
}

impl NeighbourCache {
    pub(crate) fn new() -> Self {
        Self { lists: Cache::new(ITEMS), changes: AtomicU64::new(0) }
    }

    /// Says that the index has changed. To be called after the change: what was found before it, or
    /// while it was made, counts no more.
    pub(crate) fn index_changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Adds the `count` items nearest to an item of this vector that `wanted` admits, nearest first,
    /// to those `found`.
    pub(crate) fn nearest(
        &self,
        ann: &AnnIndex,
        (item, vector): (ItemIndex, &[f32]),
        count: usize,
        wanted: impl Fn(ItemIndex) -> bool,
        found: &mut Vec<ItemIndex>,
    ) -> Result<(), RetrievalError> {
        if count <= MOST {
            let list = self.list(ann, item, vector)?;
            let before = found.len();
            found.extend(list.iter().copied().filter(|index| wanted(*index)).take(count));
            if found.len() - before == count || list.len() < NEIGHBOURS {
                return Ok(());
            }
            found.truncate(before);
        }
        found.extend(ann.search(vector, count, wanted)?);
        Ok(())
    }

    /// What is nearest to an item, for every request.
    fn list(
        &self,
        ann: &AnnIndex,
        item: ItemIndex,
        vector: &[f32],
    ) -> Result<Arc<[ItemIndex]>, RetrievalError> {
        let now = self.changes.load(Ordering::Acquire);
        if let Some((then, list)) = self.lists.get(&item)
            && then == now
        {
            return Ok(list);
        }
        let list: Arc<[ItemIndex]> = ann.search(vector, NEIGHBOURS, |_| true)?.into();
        self.lists.insert(item, (now, Arc::clone(&list)));
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::ItemIndex;

    use super::{AnnIndex, MOST, NEIGHBOURS, NeighbourCache};
    use crate::options::AnnOptions;

    /// Items on a quarter of a circle: the nearer their numbers, the nearer they are.
    fn circle(items: u32) -> AnnIndex {
        // One thread makes the same graph each time.
        let options = AnnOptions { threads: Some(1), ..AnnOptions::default() };
        let ann = AnnIndex::new(2, items as usize, &options).unwrap();
        let vectors: Vec<_> = (0..items).map(|item| (item, at(item as f32))).collect();
        ann.fill(&vectors).unwrap();
        ann
    }

    fn at(place: f32) -> Vec<f32> {
        let angle = place * 1e-3;
        vec![angle.cos(), angle.sin()]
    }

    #[test]
    fn cached_neighbours_equal_those_of_a_search() {
        let (ann, cache) = (circle(600), NeighbourCache::new());
        let odd = |index: ItemIndex| index % 2 == 1;
        let few = |index: ItemIndex| index > 500;
        for _ in 0..2 {
            for item in [0, 300, 599] {
                let vector = at(item as f32);
                let found = |count, wanted: fn(ItemIndex) -> bool| {
                    let mut found = vec![7];
                    cache.nearest(&ann, (item, &vector), count, wanted, &mut found).unwrap();
                    found.split_off(1)
                };
                let searched = |count, wanted: fn(ItemIndex) -> bool| {
                    ann.search(&vector, count, wanted).unwrap()
                };
                assert_eq!(found(20, odd), searched(20, odd));
                assert_eq!(found(MOST, odd), searched(MOST, odd), "more are wanted than are kept");
                assert_eq!(found(30, few).len(), 30, "few of those kept are wanted");
                assert_eq!(found(NEIGHBOURS + 1, odd).len(), NEIGHBOURS + 1);
            }
        }
    }

    #[test]
    fn an_index_change_invalidates_cached_neighbours() {
        let (ann, cache) = (circle(300), NeighbourCache::new());
        let vector = at(100.0);
        let nearest = || {
            let mut found = Vec::new();
            cache.nearest(&ann, (100, &vector), 3, |index| index != 100, &mut found).unwrap();
            found
        };
        let before = nearest();
        ann.put(1_000, &at(100.1)).unwrap();
        assert_eq!(nearest(), before, "the cache does not know yet");
        cache.index_changed();
        assert_eq!(nearest()[0], 1_000);
    }
}
