//! Nearest neighbours of the user's clicks.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::retrieval::Source as Kind;

use crate::{
    RetrievalError,
    index::{Search, VectorIndex, vector::recency_mean},
    merge::{RankedList, fuse},
    query::{Click, Named, Query},
    sources::{Source, clicks_at_hand},
    state::State,
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
        if enough == 0 || query.clicks.is_empty() {
            return Ok(Vec::new());
        }
        let Some(index) = self.state.index.load_full() else {
            return match self.state.engine {
                None => Ok(Vec::new()),
                Some(_) => Err("the vector engine has no vectors of this bundle yet".to_owned()),
            };
        };
        search(&self.state, &*index.vectors, query, enough).await.map_err(|error| error.to_string())
    }
}

async fn search(
    state: &Arc<State>,
    index: &dyn VectorIndex,
    query: &Arc<Query>,
    enough: usize,
) -> Result<Vec<Named>, RetrievalError> {
    let options = &state.options.ann;
    // Vectors of clicked items come from the index itself: no call, and the same space for sure.
    let read = options.mean_clicks.max(options.interests);
    let clicked: Vec<Click> = query.clicks.iter().take(read).cloned().collect();
    let vectors = index.vectors(clicked).await?;
    let clicks: Vec<(usize, Vec<f32>)> = vectors
        .into_iter()
        .enumerate()
        .filter_map(|(rank, vector)| Some((rank, vector?)))
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
    let latest = clicks.into_iter().take(interests).map(|(_, vector)| vector);
    // The mean alone could fill the answer. A single click's list is merged with others, so that its
    // far end would not come in.
    let searches: Vec<Search> = mean
        .map(|vector| Search { vector, count: enough })
        .into_iter()
        .chain(latest.map(|vector| Search { vector, count: enough.div_ceil(2) }))
        .collect();
    let found = index.nearest(state, query, searches).await?;
    let lists = found.into_iter().enumerate().map(|(source, items)| RankedList {
        source,
        weight: 1.0,
        items: items.into_iter().map(Named::Known).collect(),
    });
    Ok(fuse(lists.collect()).into_iter().take(enough).map(|candidate| candidate.item).collect())
}
