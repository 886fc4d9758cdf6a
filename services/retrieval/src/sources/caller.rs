//! Candidates the caller names.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::retrieval::Source as Kind;

use crate::{
    query::{Named, RetrievalQuery},
    sources::RetrievalSource,
};

/// Names what the caller named, in the caller's order.
pub(crate) struct Caller;

#[async_trait]
impl RetrievalSource for Caller {
    fn kind(&self) -> Kind {
        Kind::Caller
    }

    fn weight(&self) -> f64 {
        1.0
    }

    async fn retrieve(&self, query: &Arc<RetrievalQuery>) -> Result<Vec<Named>, String> {
        Ok(query.caller.clone().unwrap_or_default())
    }
}
