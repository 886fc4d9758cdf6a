//! Popular overall.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::retrieval::Source as Kind;

use crate::{
    query::{Named, Query},
    sources::{Source, take_unblocked},
    state::State,
};

/// Names the items with the surest click rates.
pub(crate) struct Popular {
    pub(crate) state: Arc<State>,
}

#[async_trait]
impl Source for Popular {
    fn kind(&self) -> Kind {
        Kind::Popular
    }

    fn weight(&self) -> f64 {
        self.state.options.quotas.popular.weight
    }

    async fn retrieve(&self, query: &Arc<Query>) -> Result<Vec<Named>, String> {
        let lists = self.state.popularity.lists();
        let catalog = self.state.catalog.read();
        // The lists may be some seconds old.
        let ranking = lists.overall.iter().copied().filter(|&index| catalog.available(index));
        let enough = self.state.options.quotas.popular.of(query.limit);
        Ok(take_unblocked(ranking, query, enough))
    }
}
