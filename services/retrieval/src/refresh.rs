//! Reads items again that were written or removed.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{Context, ItemId, ItemIndex};
use plugrank_items::{
    Content,
    follow::{ChangeSink, SinkError},
};
use tokio::sync::OwnedMutexGuard;

use crate::{
    RetrievalError,
    build::{ItemsToFetch, reindex},
    state::{RetrievalState, fetch_vectors},
};

/// Who asks for items to be read again. Either way vectors are fetched of those whose content is another
/// than the one their vector is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A call that waits until the items can be retrieved.
    Call,
    /// The store's changes.
    Changes,
}

/// Applies changes that are followed.
pub(crate) struct ApplyChanges(pub(crate) Arc<RetrievalState>);

#[async_trait]
impl ChangeSink for ApplyChanges {
    async fn changed(&self, ids: Vec<ItemId>) -> Result<(), SinkError> {
        let turn = Arc::clone(&self.0.maintenance).lock_owned().await;
        Ok(refresh_detached(&self.0, ids, Asker::Changes, turn).await?)
    }

    fn stats_changed(&self) {
        self.0.popularity.changed();
    }
}

/// Refreshes in a task of its own: a caller that hangs up, or a service that ends, must not leave
/// half of it done.
pub(crate) async fn refresh_detached(
    state: &Arc<RetrievalState>,
    ids: Vec<ItemId>,
    asker: Asker,
    turn: OwnedMutexGuard<()>,
) -> Result<(), RetrievalError> {
    let state = Arc::clone(state);
    let done = tokio::spawn(async move { refresh(&state, ids, asker, turn).await });
    done.await.map_err(|error| RetrievalError::Index(format!("a refresh ended early: {error}")))?
}

/// Reads items (distinct ones) again, and what of their vectors is asked for. Where it fails, they
/// are known to be out of date: the next time their vectors are fetched.
async fn refresh(
    state: &Arc<RetrievalState>,
    ids: Vec<ItemId>,
    asker: Asker,
    turn: OwnedMutexGuard<()>,
) -> Result<(), RetrievalError> {
    let applied = state.items.refresh(state.store.as_ref(), &ids).await?;
    state.popularity.changed();
    let current = state.index.load_full();
    // A shared index follows the changes by itself. Only who has to have an item at once writes it.
    let shared = state.engine.is_some() && asker == Asker::Changes;
    let has = |index| current.as_ref().is_some_and(|one| one.vectors.has(index));
    let mut gone = applied.removed;
    state.indexed.set(gone.iter().map(|index| (*index, None)));
    let (contents, written): ItemsToFetch = {
        let view = state.items.view();
        let contents = applied.written.iter().map(|index| (*index, view.content(*index)));
        if shared {
            state.indexed.set(contents);
            Default::default()
        } else {
            let old = |(index, content): &(ItemIndex, Content)| {
                content.is_none() || state.indexed.get(*index) != *content || !has(*index)
            };
            let named =
                |(index, content)| Some(((index, content), (index, view.id(index)?.clone())));
            contents.filter(old).filter_map(named).unzip()
        }
    };
    state.indexed.set(contents.iter().map(|(index, _)| (*index, None)));
    if written.is_empty() {
        // What is removed needs no vector, so it does not wait for the embedding service.
        if let Some(index) = current.filter(|_| !gone.is_empty() && !shared) {
            index.vectors.replace(gone, Vec::new()).await?;
        }
    } else {
        let fetched = fetch_vectors(&state.vectors, Context::background(), &written, true).await?;
        match current {
            Some(index) if index.bundle == fetched.bundle => {
                let with: HashSet<ItemIndex> =
                    fetched.vectors.iter().map(|(key, _)| *key).collect();
                let without = written.iter().map(|(key, _)| *key).filter(|key| !with.contains(key));
                gone.extend(without);
                index.vectors.replace(gone, fetched.vectors).await?;
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
