//! What retrieval lends an engine.

use std::sync::Arc;

use plugrank_contract::{Context, ItemId, ItemIndex};
use plugrank_items::ItemTable;
use plugrank_store::Store;

use super::SharedVectors;
use crate::{
    RetrievalError,
    index::external::External,
    state::{Indexed, ItemVectors, RetrievalState, fetch_vectors},
};

/// What retrieval lends an engine: the catalog, item vectors, and a place to put what is searched.
pub struct EngineHost {
    state: Arc<RetrievalState>,
}

impl EngineHost {
    pub(super) fn new(state: Arc<RetrievalState>) -> Self {
        Self { state }
    }

    /// The catalog, and word of its changes.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.state.store
    }

    /// The item table.
    #[must_use]
    pub fn items(&self) -> &Arc<ItemTable> {
        &self.state.items
    }

    /// Vectors of items by the bundle in use, under the numbers given with them. `changed`: the items
    /// have just changed, and the embedding role may not know that yet.
    ///
    /// # Errors
    /// When the embedding role does not answer, or its answer does not fit the question.
    pub async fn fetch_vectors(
        &self,
        items: &[(ItemIndex, ItemId)],
        changed: bool,
    ) -> Result<ItemVectors, RetrievalError> {
        fetch_vectors(&self.state.vectors, Context::background(), items, changed).await
    }

    /// Has requests search these vectors, made by this bundle.
    pub fn publish(&self, bundle: &str, vectors: Arc<dyn SharedVectors>) {
        let external = External {
            vectors,
            items: Arc::clone(&self.state.items),
            options: self.state.options.ann.clone(),
            followed: self.state.store.changes().is_some(),
        };
        let indexed = Indexed { bundle: bundle.to_owned(), vectors: Arc::new(external) };
        self.state.index.store(Some(Arc::new(indexed)));
    }

    /// Has requests search no vectors: there are none of the bundle in use.
    pub fn withdraw(&self) {
        self.state.index.store(None);
    }

    /// Whether there are vectors to search.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.state.index.load().is_some()
    }

    /// Says that the engine was asked: there are vectors, or why there are none is known. Retrieval
    /// does not start before.
    pub fn asked(&self) {
        if let Some(engine) = &self.state.engine {
            engine.set();
        }
    }
}
