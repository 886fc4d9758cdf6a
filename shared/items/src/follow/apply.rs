//! Reads changed items again.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
};

use plugrank_contract::ItemId;
use plugrank_store::{Changes, Store};
use tokio::sync::mpsc::Receiver;

use super::{ChangeSink, Followed, Pause, SinkError, Step};
use crate::ItemTable;

/// Items that are read again at a time; calls that do so wait meanwhile.
const CHUNK: usize = 512;
/// Items whose statistics are read at a time.
const STATS: usize = 2_000;

/// What the changes are applied to.
pub(super) struct Apply {
    pub(super) followed: Arc<Followed>,
    pub(super) store: Arc<dyn Store>,
    pub(super) items: Arc<ItemTable>,
    pub(super) sink: Arc<dyn ChangeSink>,
}

impl Apply {
    /// Applies what was read, until reading has ended.
    pub(super) async fn all(&self, mut steps: Receiver<Step>) {
        let followed = &self.followed;
        while let Some(step) = steps.recv().await {
            let mut pause = Pause::new();
            let position = match step {
                Step::CaughtUp => {
                    followed.caught_up.send_replace(true);
                    continue;
                }
                Step::Apply(changes) => {
                    while let Err(error) = self.apply(&changes).await {
                        pause.after("changed items cannot be read again", &error).await;
                    }
                    let count = (changes.items.len() + changes.stats.len()) as u64;
                    followed.applied.fetch_add(count, Ordering::Relaxed);
                    changes.position
                }
                Step::Resync(position) => {
                    tracing::warn!("changes were missed: the whole catalog is read again");
                    while let Err(error) = reread(&*self.store, &self.items, &*self.sink).await {
                        pause.after("the catalog cannot be read again", &error).await;
                    }
                    followed.resyncs.fetch_add(1, Ordering::Relaxed);
                    position
                }
            };
            *followed.position.lock() = position;
        }
    }

    async fn apply(&self, changes: &Changes) -> Result<(), SinkError> {
        apply_changes(&*self.store, &self.items, &*self.sink, changes).await
    }
}

/// Has changed items read again.
pub(super) async fn apply_changes(
    store: &dyn Store,
    items: &ItemTable,
    sink: &dyn ChangeSink,
    changes: &Changes,
) -> Result<(), SinkError> {
    for ids in changes.items.chunks(CHUNK) {
        sink.changed(ids.to_vec()).await?;
    }
    for ids in changes.stats.chunks(STATS) {
        items.refresh_stats(store, ids).await?;
        sink.stats_changed();
    }
    Ok(())
}

/// Reads every item again, and forgets those that are there no longer, also where the table does not have them any
/// more: an index may. Requests are answered meanwhile.
pub(super) async fn reread(
    store: &dyn Store,
    items: &ItemTable,
    sink: &dyn ChangeSink,
) -> Result<(), SinkError> {
    let mut missing: HashSet<ItemId> = {
        let view = items.view();
        (0..view.index_end()).filter_map(|index| view.id(index)).cloned().collect()
    };
    let mut after: Option<ItemId> = None;
    loop {
        let page = store.scan_items(after.as_ref(), CHUNK).await?;
        let ids: Vec<ItemId> = page.iter().map(|stored| stored.item.item_id.clone()).collect();
        let Some(last) = ids.last().cloned() else { break };
        ids.iter().for_each(|id| {
            missing.remove(id);
        });
        let mut met = HashSet::new();
        let distinct = ids.into_iter().filter(|id| met.insert(id.clone())).collect();
        sink.changed(distinct).await?;
        after = Some(last);
    }
    // Read again, not just removed: one of them may have come back.
    let missing: Vec<ItemId> = missing.into_iter().collect();
    for ids in missing.chunks(CHUNK) {
        sink.changed(ids.to_vec()).await?;
    }
    Ok(())
}
