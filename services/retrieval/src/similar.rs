//! Answers `Similar`.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, ErrorCode, ItemList,
    retrieval::{Similar, SimilarItems},
};
use plugrank_transport::Service;

use crate::{
    RetrievalService,
    index::VectorIndex,
    narrowed::{self, Narrowed},
    query::RetrievalQuery,
};

#[async_trait]
impl Service<Similar> for RetrievalService {
    async fn call(&self, context: Context, call: Similar) -> Result<SimilarItems, CallError> {
        let (most, items) = (self.state.options.max_candidates, &self.state.items);
        if call.k == 0 || call.k > most {
            let message = format!("`k` is {}; it must be from 1 to {most}", call.k);
            return Err(CallError::invalid(message));
        }
        let view = items.view();
        let Some(item) = view.index_of(call.item_id.as_str()) else {
            let message = format!("the catalog has no item {}", call.item_id);
            return Err(CallError::new(ErrorCode::NotFound, message));
        };
        let filters = narrowed::compile(&call.filters, &view)?;
        let limit = call.k as usize;
        let narrowed = (!filters.is_empty()).then(|| Narrowed::new(&filters, &view, limit));
        let excluded = [item].into_iter().collect();
        let query = Arc::new(RetrievalQuery {
            excluded,
            filters,
            narrowed,
            limit,
            ..RetrievalQuery::default()
        });
        let Some(index) = self.state.index.load_full() else {
            return Err(CallError::unavailable("there are no item vectors to compare"));
        };
        let vectors: Arc<dyn VectorIndex> = Arc::clone(&index.vectors);
        let nearest = vectors.nearest_to_item(item, query, &view);
        let found = match context.deadline.limit(nearest).await {
            None => return Err(CallError::deadline("the index did not answer in time")),
            Some(found) => found.map_err(|error| CallError::unavailable(error.to_string()))?,
        };
        let Some(found) = found else {
            let message = format!("item {} has no vector yet", call.item_id);
            return Err(CallError::unavailable(message));
        };
        let (indices, similarity): (Vec<_>, _) = found.into_iter().unzip();
        let items = ItemList::resolved(Arc::clone(items) as _, indices, Vec::new());
        Ok(SimilarItems { items, similarity, bundle: index.bundle.clone() })
    }
}
