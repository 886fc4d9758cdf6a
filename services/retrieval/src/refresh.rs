//! Reads items again that were written or removed.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{CallError, Context, ItemId, retrieval::RefreshItems};
use plugrank_transport::Service;
use tokio::sync::OwnedMutexGuard;

use crate::{
    RetrievalError, RetrievalService,
    build::reindex,
    catalog::ItemIndex,
    state::{State, VectorIndex, fetch_vectors},
};

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
        let done = tokio::spawn(refresh(state, ids, turn)).await;
        done.map_err(|error| CallError::internal(format!("the refresh ended early: {error}")))?
            .map_err(CallError::from)
    }
}

async fn refresh(
    state: Arc<State>,
    ids: Vec<ItemId>,
    turn: OwnedMutexGuard<()>,
) -> Result<(), RetrievalError> {
    let items = state.store.items(&ids).await?;
    let stats = state.store.item_stats(&ids).await?;
    let mut written: Vec<(ItemIndex, ItemId)> = Vec::new();
    let mut gone: Vec<ItemIndex> = Vec::new();
    {
        let mut catalog = state.catalog.write();
        for ((id, item), stats) in ids.into_iter().zip(items).zip(stats) {
            match item {
                Some(stored) => written.push((catalog.put(&stored.item, stats), id)),
                None => gone.extend(catalog.remove(&id)),
            }
        }
    }
    state.popularity.changed();
    let current = state.index.load_full();
    if written.is_empty() {
        // What is removed needs no vector, so it does not wait for the embedding service.
        if let Some(index) = current {
            replace(index, gone, Vec::new()).await?;
        }
    } else {
        let fetched = fetch_vectors(&state.vectors, Context::background(), &written).await?;
        match current {
            Some(index) if index.bundle == fetched.bundle => {
                let with: HashSet<ItemIndex> =
                    fetched.vectors.iter().map(|(key, _)| *key).collect();
                let without = written.iter().map(|(key, _)| *key).filter(|key| !with.contains(key));
                gone.extend(without);
                replace(index, gone, fetched.vectors).await?;
            }
            None if fetched.vectors.is_empty() => {}
            // The first vectors, or those of another bundle: none of the old ones may stay.
            _ => state.index.store(reindex(&state).await?),
        }
    }
    drop(turn);
    Ok(())
}

/// Takes vectors out of the index and puts others in.
async fn replace(
    index: Arc<VectorIndex>,
    gone: Vec<ItemIndex>,
    vectors: Vec<(ItemIndex, Vec<f32>)>,
) -> Result<(), RetrievalError> {
    let work = move || -> Result<(), RetrievalError> {
        gone.iter().try_for_each(|key| index.ann.remove(*key))?;
        vectors.iter().try_for_each(|(key, vector)| index.ann.put(*key, vector).map(drop))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RetrievalError::Index(format!("changing it ended early: {error}")))?
}

impl RetrievalService {
    /// Fetches every vector again and replaces the index, for a bundle that was just activated.
    /// Until it returns, the old index answers.
    ///
    /// # Errors
    /// When vectors cannot be fetched; the old index stays.
    pub async fn rebuild_index(&self) -> Result<(), RetrievalError> {
        let _turn = self.state.maintenance.lock().await;
        let index = reindex(&self.state).await?;
        self.state.index.store(index);
        Ok(())
    }
}
