//! Clicked together with what the user clicked.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use plugrank_contract::{ItemId, ItemIndex};
use plugrank_items::View;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::{
    RetrievalOptions,
    answer::Answer,
    index::vector::recency_weight,
    index_set::IndexMap,
    merge::{RankedLists, fuse_items},
    options::Quota,
    sources::{Found, RetrievalSource, SourceRequest},
};

/// Neighbours of an item with their scores, as the loader computed them.
type Neighbours = Arc<[(ItemIndex, f32)]>;

/// Names the co-visitation neighbours of the user's latest clicks: each neighbour's scores summed
/// over the clicks, later clicks weighing more. What the loader computed and what was clicked since
/// are ranked apart and merged by rank, since their scores need not mean the same.
///
/// What the loader computed is kept for
/// [`refresh_every`](crate::options::CoVisitationOptions::refresh_every), so it is at most that old;
/// what was clicked since is that of now. Kept by id, as items that the catalog does not have any
/// more were clicked together with others too.
pub(crate) struct CoVisitation {
    /// With when it was read.
    loaded: Cache<ItemId, (Instant, Neighbours)>,
    kept_for: Duration,
}

impl RetrievalSource for CoVisitation {
    const NAME: &'static str = "co_visitation";
    const QUOTA: Quota = Quota { share: 0.3, weight: 1.0 };

    fn new(options: &RetrievalOptions) -> Self {
        let options = &options.co_visitation;
        let items = usize::try_from(options.live_items).unwrap_or(usize::MAX);
        Self { loaded: Cache::new(items), kept_for: options.refresh_every() }
    }

    fn retrieve<'a>(&'a self, request: SourceRequest<'a>, enough: usize) -> Answer<'a, Found> {
        if let Err(reason) = request.query.clicks() {
            return Answer::Now(Err(reason));
        }
        let clicks = request.state.options.co_visitation.clicks;
        let ids = || request.query.clicked_ids(clicks);
        let mut loaded: Vec<Option<Neighbours>> = Vec::with_capacity(clicks);
        let now = Instant::now();
        loaded.extend(ids().map(|id| self.kept(id, now)));
        let missing: Vec<ItemId> = ids()
            .zip(&loaded)
            .filter(|(_, list)| list.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        if missing.is_empty() {
            return Answer::Now(Ok(rank(request, &loaded, enough)));
        }
        let answer = async move {
            let mut read = self.read(request, missing).await?.into_iter();
            loaded.iter_mut().filter(|list| list.is_none()).for_each(|list| *list = read.next());
            Ok(rank(request, &loaded, enough))
        };
        Answer::Later(answer.boxed())
    }
}

impl CoVisitation {
    fn kept(&self, id: &ItemId, now: Instant) -> Option<Neighbours> {
        let (read, list) = self.loaded.get(id)?;
        (now.duration_since(read) < self.kept_for).then_some(list)
    }

    /// Neighbours of items from the store, same order.
    async fn read(
        &self,
        request: SourceRequest<'_>,
        ids: Vec<ItemId>,
    ) -> Result<Vec<Neighbours>, String> {
        let state = request.state;
        // Before the answer: what is written meanwhile is not in it.
        let now = Instant::now();
        let read = state.store.neighbours(&ids).await.map_err(|error| error.to_string())?;
        let lists = ids.into_iter().zip(read).map(|(id, list)| {
            // Items that the catalog does not have are named too: a filter says what happened to them.
            let indices = state.items.indices_or_new(list.iter().map(|(id, _)| id));
            let list: Neighbours =
                indices.into_iter().zip(list.iter().map(|(_, score)| *score)).collect();
            self.loaded.insert(id, (now, Arc::clone(&list)));
            list
        });
        Ok(lists.collect())
    }
}

fn rank(
    request: SourceRequest<'_>,
    loaded: &[Option<Neighbours>],
    enough: usize,
) -> Vec<ItemIndex> {
    let SourceRequest { state, view, query } = request;
    let options = &state.options.co_visitation;
    let none: &[(ItemIndex, f32)] = &[];
    let loaded = loaded.iter().map(|list| list.as_deref().unwrap_or(none));
    let latest = query.clicks.iter().take(options.clicks);
    let live: Vec<Vec<(ItemIndex, f32)>> = latest
        .map(|click| {
            click.index.map_or_else(Vec::new, |index| state.pairs.neighbours(index, query.as_of))
        })
        .collect();
    let live = live.iter().map(|list| &**list);
    let loaded = weigh(loaded, options.half_life_clicks, view);
    let live = weigh(live, options.half_life_clicks, view);
    let mut named = match (loaded.is_empty(), live.is_empty()) {
        (_, true) => loaded,
        (true, false) => live,
        (false, false) => {
            let mut lists = RankedLists::with_room(2, loaded.len() + live.len());
            lists.add_weighing(1.0, loaded);
            lists.add_weighing(1.0, live);
            fuse_items(&lists)
        }
    };
    let mut free = 0;
    let end = named.iter().position(|&index| {
        let full = free == enough;
        free += usize::from(view.available(index) && !query.blocks(index));
        full
    });
    named.truncate(end.unwrap_or(named.len()));
    named
}

/// Neighbours of several items, latest click first, as one ranking; equal scores by id.
fn weigh<'a>(
    neighbours: impl Iterator<Item = &'a [(ItemIndex, f32)]> + Clone,
    half_life: f64,
    view: &View<'_>,
) -> Vec<ItemIndex> {
    let most = neighbours.clone().map(<[_]>::len).sum();
    let mut places: IndexMap<u32> = IndexMap::with_room(most);
    let mut scores: Vec<(ItemIndex, f64)> = Vec::with_capacity(most);
    for (rank, list) in neighbours.enumerate() {
        let weight = recency_weight(rank, half_life);
        for &(item, score) in list {
            let (place, new) = places.get_or_put(item, scores.len() as u32);
            if new {
                scores.push((item, 0.0));
            }
            if let Some((_, total)) = scores.get_mut(place as usize) {
                *total += weight * f64::from(score);
            }
        }
    }
    scores
        .sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| view.id(a.0).cmp(&view.id(b.0))));
    scores.into_iter().map(|(item, _)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::weigh;
    use crate::testing::{item, table};

    #[test]
    fn co_visitation_scores_sum_with_recency_weights() {
        let items = table(["d", "c", "b", "a"].map(|id| item(id, &[], None)));
        let view = items.view();
        let [d, c, b, a] = [0, 1, 2, 3];
        let neighbours = [&[(a, 1.0), (b, 0.6)][..], &[(c, 1.0), (b, 0.6), (d, 1.0)]];
        assert_eq!(weigh(neighbours.into_iter(), 2.0, &view), [b, a, c, d]);
    }
}
