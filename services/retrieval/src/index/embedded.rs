//! The index in this process.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{AnnIndex, IndexSize, Search, VectorIndex};
use crate::{
    RetrievalError,
    catalog::ItemIndex,
    query::{Click, Query},
    state::State,
};

/// An [`AnnIndex`] for many callers at a time. Its work is for a processor, so it is kept off the
/// threads that wait for sockets.
pub(crate) struct Embedded {
    ann: Arc<AnnIndex>,
    /// As many searches at a time as the index has room for.
    turns: Arc<Semaphore>,
}

impl Embedded {
    pub(crate) fn new(ann: Arc<AnnIndex>) -> Self {
        let turns = Arc::new(Semaphore::new(ann.threads()));
        Self { ann, turns }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RetrievalError> + Send + 'static,
) -> Result<T, RetrievalError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RetrievalError::Index(format!("its work ended early: {error}")))?
}

#[async_trait]
impl VectorIndex for Embedded {
    fn size(&self) -> IndexSize {
        IndexSize { vectors: self.ann.len(), bytes: self.ann.memory_bytes() }
    }

    fn has(&self, item: ItemIndex) -> bool {
        self.ann.contains(item)
    }

    async fn vectors(&self, clicks: Vec<Click>) -> Result<Vec<Option<Vec<f32>>>, RetrievalError> {
        let ann = Arc::clone(&self.ann);
        blocking(move || {
            let vector = |click: &Click| click.index.and_then(|index| ann.vector(index));
            Ok(clicks.iter().map(vector).collect())
        })
        .await
    }

    async fn nearest(
        &self,
        state: &Arc<State>,
        query: &Arc<Query>,
        searches: Vec<Search>,
    ) -> Result<Vec<Vec<ItemIndex>>, RetrievalError> {
        let closed = |_| RetrievalError::Index("retrieval is shutting down".to_owned());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(closed)?;
        let (ann, state, query) = (Arc::clone(&self.ann), Arc::clone(state), Arc::clone(query));
        blocking(move || {
            let search = |search: &Search| {
                let catalog = state.catalog.read();
                let wanted = |key: ItemIndex| catalog.available(key) && !query.blocks(key);
                let found = ann.search(&search.vector, search.count, wanted)?;
                Ok(found.into_iter().map(|(key, _)| key).collect())
            };
            let found = searches.iter().map(search).collect();
            drop(turn);
            found
        })
        .await
    }

    async fn replace(
        &self,
        _: &Arc<State>,
        gone: Vec<ItemIndex>,
        vectors: Vec<(ItemIndex, Vec<f32>)>,
    ) -> Result<(), RetrievalError> {
        let ann = Arc::clone(&self.ann);
        blocking(move || {
            gone.iter().try_for_each(|key| ann.remove(*key))?;
            vectors.iter().try_for_each(|(key, vector)| ann.put(*key, vector).map(drop))
        })
        .await
    }

    fn embedded(&self) -> Option<&Arc<AnnIndex>> {
        Some(&self.ann)
    }
}
