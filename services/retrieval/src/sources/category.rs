//! Popular in the user's categories.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::retrieval::Source as Kind;

use crate::{
    catalog::{Catalog, CategoryIndex},
    merge::{RankedList, fuse},
    query::{Named, Query},
    sources::{Source, clicks_at_hand, take_unblocked},
    state::State,
};

/// Names what is popular in the categories the user clicks most, each in proportion to its clicks.
/// For a user without clicks, what is most popular in each category in turn, so that somebody
/// unknown is shown the breadth of the catalog.
pub(crate) struct Category {
    pub(crate) state: Arc<State>,
}

#[async_trait]
impl Source for Category {
    fn kind(&self) -> Kind {
        Kind::Category
    }

    fn weight(&self) -> f64 {
        self.state.options.quotas.category.weight
    }

    async fn retrieve(&self, query: &Arc<Query>) -> Result<Vec<Named>, String> {
        clicks_at_hand(query)?;
        let enough = self.state.options.quotas.category.of(query.limit);
        let lists = self.state.popularity.lists();
        let catalog = self.state.catalog.read();
        let mut tastes = top_categories(query, &catalog, self.state.options.category.categories);
        if tastes.is_empty() {
            tastes = lists.categories.iter().take(enough).map(|&category| (category, 1)).collect();
        }
        let clicks: u64 = tastes.iter().map(|(_, clicks)| clicks).sum();
        let ranked = tastes
            .iter()
            .enumerate()
            .filter_map(|(order, &(category, count))| {
                let list = lists.by_category.get(category as usize)?;
                let ranking = list.iter().copied().filter(|&index| catalog.available(index));
                let share = (enough as u64 * count).div_ceil(clicks.max(1)) as usize;
                let items = take_unblocked(ranking, query, share);
                Some(RankedList { source: order, weight: count as f64, items })
            })
            .collect();
        drop(catalog);
        Ok(fuse(ranked).into_iter().map(|candidate| candidate.item).collect())
    }
}

/// The user's categories with how often they were clicked, most often first; among equals the one
/// clicked later.
fn top_categories(query: &Query, catalog: &Catalog, count: usize) -> Vec<(CategoryIndex, u64)> {
    let mut counts: HashMap<CategoryIndex, (u64, usize)> = HashMap::new();
    for (rank, click) in query.clicks.iter().enumerate() {
        let Some(index) = click.index else { continue };
        for &category in catalog.categories(index) {
            counts.entry(category).or_insert((0, rank)).0 += 1;
        }
    }
    let mut tastes: Vec<(CategoryIndex, (u64, usize))> = counts.into_iter().collect();
    tastes.sort_by_key(|&(category, (clicks, latest))| (Reverse(clicks), latest, category));
    tastes.into_iter().take(count).map(|(category, (clicks, _))| (category, clicks)).collect()
}

#[cfg(test)]
mod tests {
    use plugrank_store::ItemStats;

    use super::top_categories;
    use crate::{
        catalog::Catalog,
        query::{Click, Query},
        testing::item,
    };

    #[test]
    fn categories_by_clicks_then_by_the_latest() {
        let mut catalog = Catalog::default();
        for (id, categories) in [("a", &["x", "y"][..]), ("b", &["z"]), ("c", &["y"])] {
            catalog.put(&item(id, categories, None), ItemStats::default());
        }
        let click = |id: &str| Click { item_id: id.into(), index: catalog.index_of(&id.into()) };
        let query =
            Query { clicks: ["b", "gone", "a", "c"].map(click).to_vec(), ..Query::default() };
        // x, y and z are 0, 1 and 2.
        assert_eq!(top_categories(&query, &catalog, 10), [(1, 2), (2, 1), (0, 1)]);
        assert_eq!(top_categories(&query, &catalog, 1), [(1, 2)]);
    }
}
