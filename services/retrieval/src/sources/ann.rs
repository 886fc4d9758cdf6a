//! Nearest neighbours of the user's clicks.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::retrieval::Source as Kind;

use crate::{
    RetrievalError,
    catalog::ItemIndex,
    index::vector::recency_mean,
    merge::{RankedList, fuse},
    query::{Named, Query},
    sources::{Source, clicks_at_hand},
    state::{State, VectorIndex},
};

/// Names the items nearest to the mean of the user's clicks, and those nearest to each of the
/// latest few, in turn: a mean alone falls between a user's several interests. A user without
/// clicks gets none.
pub(crate) struct Ann {
    pub(crate) state: Arc<State>,
}

#[async_trait]
impl Source for Ann {
    fn kind(&self) -> Kind {
        Kind::Ann
    }

    fn weight(&self) -> f64 {
        self.state.options.quotas.ann.weight
    }

    async fn retrieve(&self, query: &Arc<Query>) -> Result<Vec<Named>, String> {
        clicks_at_hand(query)?;
        let enough = self.state.options.quotas.ann.of(query.limit);
        let Some(index) = self.state.index.load_full() else { return Ok(Vec::new()) };
        if enough == 0 || query.clicks.is_empty() {
            return Ok(Vec::new());
        }
        let turn = Arc::clone(&self.state.search_turns)
            .acquire_owned()
            .await
            .map_err(|_| "retrieval is shutting down".to_owned())?;
        let (state, query) = (Arc::clone(&self.state), Arc::clone(query));
        // Searching is work for a processor, so it is kept off the threads that wait for sockets.
        let found = tokio::task::spawn_blocking(move || {
            let found = search(&state, &index, &query, enough);
            drop(turn);
            found
        });
        found
            .await
            .map_err(|error| format!("the search ended early: {error}"))?
            .map_err(|error| error.to_string())
    }
}

fn search(
    state: &State,
    index: &VectorIndex,
    query: &Query,
    enough: usize,
) -> Result<Vec<Named>, RetrievalError> {
    let options = &state.options.ann;
    // Vectors of clicked items come from the index itself: no call, and the same space for sure.
    let clicks: Vec<(usize, Vec<f32>)> = query
        .clicks
        .iter()
        .take(options.mean_clicks.max(options.interests))
        .enumerate()
        .filter_map(|(rank, click)| Some((rank, index.ann.vector(click.index?)?)))
        .collect();
    let mean = recency_mean(
        clicks
            .iter()
            .filter(|(rank, _)| *rank < options.mean_clicks)
            .map(|(rank, vector)| (*rank, vector.as_slice())),
        options.half_life_clicks,
    );
    // With one click the mean is that click.
    let interests = if clicks.len() > 1 { options.interests } else { 0 };
    let latest = clicks.iter().take(interests).map(|(_, vector)| vector.as_slice());
    let mut lists = Vec::new();
    for (source, vector) in mean.as_deref().into_iter().chain(latest).enumerate() {
        let catalog = state.catalog.read();
        let wanted = |key: ItemIndex| catalog.available(key) && !query.blocks(key);
        // The mean alone could fill the answer. A single click's list is merged with others, so
        // that its far end would not come in.
        let count = if source == 0 { enough } else { enough.div_ceil(2) };
        let found = index.ann.search(vector, count, wanted)?;
        let items = found.into_iter().map(|(key, _)| Named::Known(key)).collect();
        lists.push(RankedList { source, weight: 1.0, items });
    }
    Ok(fuse(lists).into_iter().take(enough).map(|candidate| candidate.item).collect())
}
