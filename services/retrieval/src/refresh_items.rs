//! Answers `RefreshItems`, and a bundle's activation.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{CallError, Context, retrieval::RefreshItems};
use plugrank_transport::Service;

use crate::{
    RetrievalError, RetrievalService,
    build::reindex,
    refresh::{Asker, refresh_detached},
};

#[async_trait]
impl Service<RefreshItems> for RetrievalService {
    /// When it returns, written items can be retrieved with their new content, and removed ones
    /// are gone. Refreshes run one after the other.
    async fn call(&self, context: Context, call: RefreshItems) -> Result<(), CallError> {
        let mut met = HashSet::new();
        let ids = call.item_ids.into_iter().filter(|id| met.insert(id.clone())).collect();
        let turn = Arc::clone(&self.state.maintenance).lock_owned();
        let turn = context.deadline.limit(turn).await;
        let turn =
            turn.ok_or_else(|| CallError::deadline("other items are still being read again"))?;
        refresh_detached(&self.state, ids, Asker::Call, turn).await.map_err(CallError::from)
    }
}

impl RetrievalService {
    /// Fetches every vector again and replaces the index, for a bundle that was just activated.
    /// Until it returns, the old index answers.
    ///
    /// # Errors
    /// When vectors cannot be fetched; the old index stays.
    pub async fn rebuild_index(&self) -> Result<(), RetrievalError> {
        if self.state.engine.is_some() {
            // The process that fills it notices the bundle.
            return Ok(());
        }
        let _turn = self.state.maintenance.lock().await;
        let index = reindex(&self.state, &|_| {}).await?;
        self.state.index.store(index);
        Ok(())
    }
}
