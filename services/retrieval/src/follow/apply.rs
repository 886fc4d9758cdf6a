//! Reads changed items again.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use plugrank_contract::ItemId;
use plugrank_store::{Changes, changes::CACHES_BEHIND};
use tokio::sync::mpsc::Receiver;

use super::{Pause, Step};
use crate::{
    RetrievalError,
    refresh::{Refetch, refresh},
    state::State,
};

/// Items that are read again at a time; calls that do so wait meanwhile.
const CHUNK: usize = 512;
/// Items whose statistics are read at a time.
const STATS: usize = 2_000;

/// Applies what was read, until there is nobody who reads.
pub(super) async fn apply_all(state: Arc<State>, mut steps: Receiver<Step>) {
    let followed = &state.followed;
    while let Some(step) = steps.recv().await {
        let mut pause = Pause::new();
        let position = match step {
            Step::CaughtUp => {
                followed.caught_up.send_replace(true);
                continue;
            }
            Step::Apply(read_at, changes) => {
                // Items come out of caches, here and in the embedding service, which may be this much
                // older than the word of a change.
                tokio::time::sleep_until(read_at + CACHES_BEHIND).await;
                while let Err(error) = apply(&state, &changes).await {
                    pause.after("changed items cannot be read again", &error).await;
                }
                let count = (changes.items.len() + changes.stats.len()) as u64;
                followed.applied.fetch_add(count, Ordering::Relaxed);
                changes.position
            }
            Step::Resync(read_at, position) => {
                tracing::warn!("changes were missed: the whole catalog is read again");
                tokio::time::sleep_until(read_at + CACHES_BEHIND).await;
                while let Err(error) = resync(&state).await {
                    pause.after("the catalog cannot be read again", &error).await;
                }
                followed.resyncs.fetch_add(1, Ordering::Relaxed);
                position
            }
        };
        *followed.position.lock() = Some(position);
    }
}

async fn apply(state: &Arc<State>, changes: &Changes) -> Result<(), RetrievalError> {
    for ids in changes.items.chunks(CHUNK) {
        reread(state, ids.to_vec()).await?;
    }
    reread_stats(state, &changes.stats).await
}

async fn reread(state: &Arc<State>, ids: Vec<ItemId>) -> Result<(), RetrievalError> {
    let turn = Arc::clone(&state.maintenance).lock_owned().await;
    // A task of its own: when retrieval ends, it must not leave half of it done.
    let state = Arc::clone(state);
    let done = tokio::spawn(async move { refresh(&state, ids, Refetch::Changed, turn).await });
    done.await.map_err(|error| RetrievalError::Index(format!("a refresh ended early: {error}")))?
}

/// Reads the statistics of items again.
pub(crate) async fn reread_stats(state: &State, ids: &[ItemId]) -> Result<(), RetrievalError> {
    for ids in ids.chunks(STATS) {
        let stats = state.store.item_stats(ids).await?;
        let mut catalog = state.catalog.write();
        for (id, stats) in ids.iter().zip(stats) {
            if let Some(index) = catalog.index_of(id) {
                catalog.set_stats(index, stats);
            }
        }
        drop(catalog);
        state.popularity.changed();
    }
    Ok(())
}

/// Reads every item again, and forgets those that are there no longer. Requests are answered
/// meanwhile.
async fn resync(state: &Arc<State>) -> Result<(), RetrievalError> {
    let mut missing: HashSet<ItemId> = {
        let catalog = state.catalog.read();
        let ids = (0..catalog.index_end()).filter_map(|index| catalog.id(index));
        ids.filter(|id| catalog.index_of(id).is_some()).cloned().collect()
    };
    let mut after: Option<ItemId> = None;
    loop {
        let page = state.store.scan_items(after.as_ref(), CHUNK).await?;
        let ids: Vec<ItemId> = page.iter().map(|stored| stored.item.item_id.clone()).collect();
        let Some(last) = ids.last().cloned() else { break };
        ids.iter().for_each(|id| {
            missing.remove(id);
        });
        let mut met = HashSet::new();
        reread(state, ids.into_iter().filter(|id| met.insert(id.clone())).collect()).await?;
        after = Some(last);
    }
    // Read again, not just removed: one of them may have come back.
    let missing: Vec<ItemId> = missing.into_iter().collect();
    for ids in missing.chunks(CHUNK) {
        reread(state, ids.to_vec()).await?;
    }
    Ok(())
}
