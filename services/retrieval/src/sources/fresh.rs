//! New in the catalog.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::retrieval::Source as Kind;

use crate::{
    query::{Named, Query},
    sources::{Source, take_unblocked},
    state::State,
};

/// Names the newest items as of the moment of the request. An item without a time of creation is
/// never new.
pub(crate) struct Fresh {
    pub(crate) state: Arc<State>,
}

#[async_trait]
impl Source for Fresh {
    fn kind(&self) -> Kind {
        Kind::Fresh
    }

    fn weight(&self) -> f64 {
        self.state.options.quotas.fresh.weight
    }

    async fn retrieve(&self, query: &Arc<Query>) -> Result<Vec<Named>, String> {
        let catalog = self.state.catalog.read();
        let enough = self.state.options.quotas.fresh.of(query.limit);
        Ok(take_unblocked(catalog.newest(query.as_of), query, enough))
    }
}
