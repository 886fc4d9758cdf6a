//! Reads items again that were written or removed.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{CallError, Context, ItemId, retrieval::RefreshItems};
use plugrank_transport::Service;
use tokio::sync::OwnedMutexGuard;

use crate::{
    RetrievalError, RetrievalService,
    build::reindex,
    catalog::{Content, ItemIndex, content_of},
    state::{State, fetch_vectors},
};

/// Of which items vectors are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refetch {
    /// Of all.
    All,
    /// Of those whose content is another than the one their vector is of.
    Changed,
}

#[async_trait]
impl Service<RefreshItems> for RetrievalService {
    /// When it returns, written items can be retrieved with their new content, and removed ones
    /// are gone. Refreshes run one after the other.
    async fn call(&self, context: Context, call: RefreshItems) -> Result<(), CallError> {
        let state = Arc::clone(&self.state);
        let mut met = HashSet::new();
        let ids = call.item_ids.into_iter().filter(|id| met.insert(id.clone())).collect();
        let turn = Arc::clone(&state.maintenance).lock_owned();
        let turn = match context.deadline {
            None => turn.await,
            Some(deadline) => tokio::time::timeout_at(deadline, turn)
                .await
                .map_err(|_| CallError::deadline("other items are still being read again"))?,
        };
        // A task of its own: a caller that hangs up must not leave half of it done.
        let done = tokio::spawn(async move { refresh(&state, ids, Refetch::All, turn).await });
        done.await
            .map_err(|error| CallError::internal(format!("the refresh ended early: {error}")))?
            .map_err(CallError::from)
    }
}

/// Reads items (distinct ones) again, and what of their vectors is asked for. Where it fails, they
/// are known to be out of date: the next time their vectors are fetched.
pub(crate) async fn refresh(
    state: &Arc<State>,
    ids: Vec<ItemId>,
    refetch: Refetch,
    turn: OwnedMutexGuard<()>,
) -> Result<(), RetrievalError> {
    let items = state.store.items(&ids).await?;
    let stats = state.store.item_stats(&ids).await?;
    let current = state.index.load_full();
    // A shared index follows the changes by itself. Only who has to have an item at once writes it.
    let elsewhere = state.engine.is_some() && refetch == Refetch::Changed;
    let mut written: Vec<(ItemIndex, ItemId)> = Vec::new();
    let mut contents: Vec<(ItemIndex, Content)> = Vec::new();
    let mut gone: Vec<ItemIndex> = Vec::new();
    {
        let mut catalog = state.catalog.write();
        for ((id, item), stats) in ids.into_iter().zip(items).zip(stats) {
            let Some(stored) = item else {
                gone.extend(catalog.remove(&id));
                continue;
            };
            let content = content_of(&stored.content);
            let shown = catalog.index_of(&id).map(|index| catalog.available(index));
            let index = catalog.put(&stored.item, stats);
            let has = |index| current.as_ref().is_some_and(|one| one.vectors.has(index));
            let same = content.is_some()
                && catalog.content(index) == content
                && shown == Some(catalog.available(index))
                && has(index);
            if elsewhere {
                catalog.set_content(index, content);
            } else if refetch == Refetch::All || !same {
                catalog.set_content(index, None);
                contents.push((index, content));
                written.push((index, id));
            }
        }
    }
    state.popularity.changed();
    if written.is_empty() {
        // What is removed needs no vector, so it does not wait for the embedding service.
        if let Some(index) = current.filter(|_| !gone.is_empty() && !elsewhere) {
            index.vectors.replace(state, gone, Vec::new()).await?;
        }
    } else {
        let fetched = fetch_vectors(&state.vectors, Context::background(), &written).await?;
        match current {
            Some(index) if index.bundle == fetched.bundle => {
                let with: HashSet<ItemIndex> =
                    fetched.vectors.iter().map(|(key, _)| *key).collect();
                let without = written.iter().map(|(key, _)| *key).filter(|key| !with.contains(key));
                gone.extend(without);
                index.vectors.replace(state, gone, fetched.vectors).await?;
            }
            _ if state.engine.is_some() => {}
            None if fetched.vectors.is_empty() => {}
            // The first vectors, or those of another bundle: none of the old ones may stay.
            _ => state.index.store(reindex(state).await?),
        }
        let mut catalog = state.catalog.write();
        for (index, content) in contents {
            catalog.set_content(index, content);
        }
    }
    drop(turn);
    Ok(())
}

impl RetrievalService {
    /// Fetches every vector again and replaces the index, for a bundle that was just activated.
    /// Until it returns, the old index answers.
    ///
    /// # Errors
    /// When vectors cannot be fetched; the old index stays.
    pub async fn rebuild_index(&self) -> Result<(), RetrievalError> {
        if self.state.engine.is_some() {
            // Whoever fills it notices the bundle.
            return Ok(());
        }
        let _turn = self.state.maintenance.lock().await;
        let index = reindex(&self.state).await?;
        self.state.index.store(index);
        Ok(())
    }
}
