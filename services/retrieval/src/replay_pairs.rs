//! Counts again, after a start, what was clicked together.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt, TryStreamExt, stream};
use plugrank_contract::{Event, TimestampMs};
use plugrank_items::follow::Pause;
use plugrank_store::TimeRange;
use tokio::time::Instant;

use crate::{
    RetrievalError,
    click_pairs::{READS, pair},
    state::RetrievalState,
};

/// Half-lives that are read: what is older would count less than a sixteenth.
const HALF_LIVES: u32 = 4;
/// Events that are read at a time.
const PAGE: usize = 5_000;

/// Reads the log of events in the background, from a few half-lives ago until now, and pairs each click as
/// when it came. What comes meanwhile is paired by those who bring it.
pub(crate) fn replay_pairs(state: &Arc<RetrievalState>) {
    if state.options.co_visitation.live_items == 0 {
        return;
    }
    let state = Arc::clone(state);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let to = since.as_millis() as TimestampMs;
    let kept = state.options.co_visitation.half_life() * HALF_LIVES;
    let from =
        to.saturating_sub(TimestampMs::try_from(kept.as_millis()).unwrap_or(TimestampMs::MAX));
    tokio::spawn(async move {
        let begun = Instant::now();
        let clicks = replay(&state, TimeRange { from, to }).await;
        let seconds = begun.elapsed().as_secs_f64();
        tracing::info!(clicks, seconds, "what was clicked together is counted again");
    });
}

async fn replay(state: &RetrievalState, range: TimeRange) -> u64 {
    let (mut from, mut clicks, mut pause) = (None, 0, Pause::new());
    loop {
        let page = match state.store.scan_events(range, from.clone(), PAGE).await {
            Ok(page) => page,
            Err(error) => {
                pause.after("the log of events cannot be read again", &error).await;
                continue;
            }
        };
        pause = Pause::new();
        let positive: Vec<Event> =
            page.entries.into_iter().filter(|event| event.event_type.is_positive()).collect();
        clicks += positive.len() as u64;
        let paired: Result<(), RetrievalError> = stream::iter(positive)
            .map(|click| pair(state, click))
            .buffer_unordered(READS)
            .try_collect()
            .await;
        if let Err(error) = paired {
            tracing::warn!(%error, "some clicks were not counted again");
        }
        from = page.next;
        if from.is_none() {
            return clicks;
        }
    }
}
