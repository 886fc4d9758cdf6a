//! Clicked together with what the user clicked.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{ItemId, retrieval::Source as Kind};

use crate::{
    catalog::Catalog,
    index::vector::recency_weight,
    merge::{RankedList, fuse},
    query::{Named, Query},
    sources::{Source, clicks_at_hand},
    state::State,
};

/// Names the co-visitation neighbours of the user's latest clicks: each neighbour's scores summed
/// over the clicks, later clicks weighing more. What the loader computed and what was clicked since
/// are ranked apart and merged by rank, since their scores need not mean the same.
pub(crate) struct CoVisitation {
    pub(crate) state: Arc<State>,
}

#[async_trait]
impl Source for CoVisitation {
    fn kind(&self) -> Kind {
        Kind::CoVisitation
    }

    fn weight(&self) -> f64 {
        self.state.options.quotas.co_visitation.weight
    }

    async fn retrieve(&self, query: &Arc<Query>) -> Result<Vec<Named>, String> {
        clicks_at_hand(query)?;
        let options = &self.state.options.co_visitation;
        let ids: Vec<ItemId> =
            query.clicks.iter().take(options.clicks).map(|click| click.item_id.clone()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let neighbours =
            self.state.store.neighbours(&ids).await.map_err(|error| error.to_string())?;
        let catalog = self.state.catalog.read();
        let loaded = neighbours.into_iter().map(|list| {
            let named = |(id, score)| match catalog.index_of(&id) {
                Some(index) => (Named::Known(index), score),
                None => (Named::Unknown(id), score),
            };
            list.into_iter().map(named).collect()
        });
        let latest = query.clicks.iter().take(options.clicks);
        let live = latest.map(|click| {
            let pairs = click.index.map_or_else(Vec::new, |index| self.state.pairs.of(index));
            pairs.into_iter().map(|(index, score)| (Named::Known(index), score)).collect()
        });
        let list = |source, items| RankedList { source, weight: 1.0, items };
        let ranking = fuse(vec![
            list(0, weigh(loaded, options.half_life_clicks, &catalog)),
            list(1, weigh(live, options.half_life_clicks, &catalog)),
        ]);
        let enough = self.state.options.quotas.co_visitation.of(query.limit);
        let mut free = 0;
        let mut named = Vec::with_capacity(enough);
        for candidate in ranking {
            if free == enough {
                break;
            }
            if let Named::Known(index) = candidate.item {
                free += usize::from(catalog.available(index) && !query.blocks(index));
            }
            named.push(candidate.item);
        }
        Ok(named)
    }
}

/// Neighbours of several items, latest click first, as one ranking; equal scores by id.
fn weigh(
    neighbours: impl Iterator<Item = Vec<(Named, f32)>>,
    half_life: f64,
    catalog: &Catalog,
) -> Vec<Named> {
    let mut scores: HashMap<Named, f64> = HashMap::new();
    for (rank, list) in neighbours.enumerate() {
        let weight = recency_weight(rank, half_life);
        for (item, score) in list {
            *scores.entry(item).or_default() += weight * f64::from(score);
        }
    }
    let id = |item: &Named| match item {
        Named::Known(index) => catalog.id(*index).cloned(),
        Named::Unknown(id) => Some(id.clone()),
    };
    let mut ranking: Vec<(Named, f64)> = scores.into_iter().collect();
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| id(&a.0).cmp(&id(&b.0))));
    ranking.into_iter().map(|(item, _)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::weigh;
    use crate::{catalog::Catalog, query::Named};

    #[test]
    fn scores_add_up_and_later_clicks_weigh_more() {
        let named = |id: &str| Named::Unknown(id.into());
        let list = |items: &[(&str, f32)]| {
            items.iter().map(|&(id, score)| (named(id), score)).collect::<Vec<_>>()
        };
        let neighbours =
            [list(&[("a", 1.0), ("b", 0.6)]), list(&[("c", 1.0), ("b", 0.6), ("d", 1.0)])];
        let ranking = weigh(neighbours.into_iter(), 2.0, &Catalog::default());
        assert_eq!(ranking, ["b", "a", "c", "d"].map(named));
    }
}
