//! Takes note of stored events.

use std::collections::HashSet;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use plugrank_contract::{CallError, Context, Event, ItemId, retrieval::ObserveEvents};
use plugrank_transport::Service;

use crate::{
    RetrievalError, RetrievalService, index::vector::recency_weight, state::RetrievalState,
};

/// Histories that are read at a time.
pub(crate) const READS: usize = 16;

#[async_trait]
impl Service<ObserveEvents> for RetrievalService {
    /// Reads the items' statistics again, and pairs each click with the user's clicks before it.
    ///
    /// Statistics are not counted here: the store has counted the events, and knows which of them
    /// it had before and which click took an impression's place.
    async fn call(&self, _: Context, call: ObserveEvents) -> Result<(), CallError> {
        let state = &*self.state;
        let mut met = HashSet::new();
        let items = call.events.iter().map(|event| event.item_id.clone());
        let ids: Vec<ItemId> = items.filter(|id| met.insert(id.clone())).collect();
        let refreshed = state.items.refresh_stats(state.store.as_ref(), &ids).await;
        refreshed.map_err(RetrievalError::from)?;
        state.popularity.changed();
        let clicks: Vec<Event> =
            call.events.into_iter().filter(|event| event.event_type.is_positive()).collect();
        stream::iter(clicks)
            .map(|click| pair(state, click))
            .buffer_unordered(READS)
            .try_collect::<()>()
            .await
            .map_err(CallError::from)
    }
}

/// Pairs a click with those of the user's clicks that came shortly before it. It counts by the weight of its
/// type.
pub(crate) async fn pair(state: &RetrievalState, click: Event) -> Result<(), RetrievalError> {
    let options = &state.options.co_visitation;
    let history = state.store.history(&click.user_id, click.timestamp, options.clicks, 0).await?;
    let view = state.items.view();
    let Some(item) = view.index_of(click.item_id.as_str()) else { return Ok(()) };
    for (rank, earlier) in history.clicks().enumerate() {
        if let Some(other) = view.index_of(earlier.item_id.as_str()) {
            let weight = recency_weight(rank, options.half_life_clicks);
            let weight = weight * f64::from(click.event_type.weight);
            state.pairs.add(item, other, weight, click.timestamp);
        }
    }
    Ok(())
}
