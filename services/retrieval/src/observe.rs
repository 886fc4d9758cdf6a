//! Takes note of stored events.

use std::collections::HashSet;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use plugrank_contract::{CallError, Context, Event, ItemId, retrieval::ObserveEvents};
use plugrank_transport::Service;

use crate::{
    RetrievalError, RetrievalService,
    click_pairs::{READS, pair},
};

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
