//! Counts what was clicked together.

use plugrank_contract::Event;

use crate::{RetrievalError, index::vector::recency_weight, state::RetrievalState};

/// Histories that are read at a time.
pub(crate) const READS: usize = 16;

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
