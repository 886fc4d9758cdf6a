//! Reads items again that were written or removed.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{CallError, Context, ItemId, ItemIndex, retrieval::RefreshItems};
use plugrank_items::{
    Content,
    follow::{ChangeSink, SinkError},
};
use plugrank_transport::Service;
use tokio::sync::OwnedMutexGuard;

use crate::{
    RetrievalError, RetrievalService,
    build::{ItemsToFetch, reindex},
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
        let mut met = HashSet::new();
        let ids = call.item_ids.into_iter().filter(|id| met.insert(id.clone())).collect();
        let turn = Arc::clone(&self.state.maintenance).lock_owned();
        let turn = match context.deadline {
            None => turn.await,
            Some(deadline) => tokio::time::timeout_at(deadline, turn)
                .await
                .map_err(|_| CallError::deadline("other items are still being read again"))?,
        };
        detached(&self.state, ids, Refetch::All, turn).await.map_err(CallError::from)
    }
}

/// Applies changes that are followed.
pub(crate) struct ApplyChanges(pub(crate) Arc<State>);

#[async_trait]
impl ChangeSink for ApplyChanges {
    async fn changed(&self, ids: Vec<ItemId>) -> Result<(), SinkError> {
        let turn = Arc::clone(&self.0.maintenance).lock_owned().await;
        Ok(detached(&self.0, ids, Refetch::Changed, turn).await?)
    }

    fn stats_changed(&self) {
        self.0.popularity.changed();
    }
}

/// Refreshes in a task of its own: a caller that hangs up, or a service that ends, must not leave
/// half of it done.
async fn detached(
    state: &Arc<State>,
    ids: Vec<ItemId>,
    refetch: Refetch,
    turn: OwnedMutexGuard<()>,
) -> Result<(), RetrievalError> {
    let state = Arc::clone(state);
    let done = tokio::spawn(async move { refresh(&state, ids, refetch, turn).await });
    done.await.map_err(|error| RetrievalError::Index(format!("a refresh ended early: {error}")))?
}

/// Reads items (distinct ones) again, and what of their vectors is asked for. Where it fails, they
/// are known to be out of date: the next time their vectors are fetched.
async fn refresh(
    state: &Arc<State>,
    ids: Vec<ItemId>,
    refetch: Refetch,
    turn: OwnedMutexGuard<()>,
) -> Result<(), RetrievalError> {
    let applied = state.items.refresh(state.store.as_ref(), &ids).await?;
    state.popularity.changed();
    let current = state.index.load_full();
    // A shared index follows the changes by itself. Only who has to have an item at once writes it.
    let elsewhere = state.engine.is_some() && refetch == Refetch::Changed;
    let has = |index| current.as_ref().is_some_and(|one| one.vectors.has(index));
    let mut gone = applied.removed;
    state.indexed.set(gone.iter().map(|index| (*index, None)));
    let (contents, written): ItemsToFetch = {
        let view = state.items.view();
        let contents = applied.written.iter().map(|index| (*index, view.content(*index)));
        if elsewhere {
            state.indexed.set(contents);
            Default::default()
        } else {
            let old = |(index, content): &(ItemIndex, Content)| {
                refetch == Refetch::All
                    || content.is_none()
                    || state.indexed.get(*index) != *content
                    || !has(*index)
            };
            let named =
                |(index, content)| Some(((index, content), (index, view.id(index)?.clone())));
            contents.filter(old).filter_map(named).unzip()
        }
    };
    state.indexed.set(contents.iter().map(|(index, _)| (*index, None)));
    if written.is_empty() {
        // What is removed needs no vector, so it does not wait for the embedding service.
        if let Some(index) = current.filter(|_| !gone.is_empty() && !elsewhere) {
            index.vectors.replace(state, gone, Vec::new()).await?;
        }
    } else {
        let fetched = fetch_vectors(&state.vectors, Context::background(), &written, true).await?;
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
            _ => state.index.store(reindex(state, &|_| {}).await?),
        }
        state.indexed.set(contents);
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
        let index = reindex(&self.state, &|_| {}).await?;
        self.state.index.store(index);
        Ok(())
    }
}
