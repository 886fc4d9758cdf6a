//! Feature ids of items, kept in memory.

use std::sync::Arc;

use moka::sync::Cache;
use plugrank_bundle::{FeatureEncoder, ItemFeatures};
use plugrank_contract::{CallError, ItemId, item::ContentHash};
use plugrank_store::{Store, StoredItem};
use tokio::time::{Instant, timeout_at};

/// What a cache entry takes beside its ids, roughly.
const ENTRY_OVERHEAD: usize = 160;

#[derive(Clone)]
struct Held {
    content: ContentHash,
    ids: Arc<ItemFeatures>,
}

/// Features that were looked up.
#[derive(Default)]
pub(crate) struct Looked {
    /// One an item, same order.
    pub(crate) ids: Vec<Arc<ItemFeatures>>,
    /// Why some are only what was last known.
    pub(crate) late: Option<String>,
}

/// Feature ids of items by item and content, so a changed item does not find its old ones.
pub(crate) struct FeatureTable {
    store: Arc<dyn Store>,
    encoder: Arc<FeatureEncoder>,
    held: Cache<ItemId, Held>,
}

impl FeatureTable {
    pub(crate) fn new(store: Arc<dyn Store>, encoder: Arc<FeatureEncoder>, bytes: u64) -> Self {
        let weigh = |item: &ItemId, held: &Held| {
            let bytes = item.as_str().len() + held.ids.len() * 8 + ENTRY_OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let held = Cache::builder().max_capacity(bytes).weigher(weigh).build();
        Self { store, encoder, held }
    }

    /// Feature ids, same order. Of an item the catalog does not have only the id is known. What the
    /// store does not give by `by` is as it was last known.
    pub(crate) async fn of(
        &self,
        ids: &[ItemId],
        by: Option<Instant>,
    ) -> Result<Looked, CallError> {
        let read = self.store.items(ids);
        let read = match by {
            None => Ok(read.await),
            Some(by) => timeout_at(by, read).await,
        };
        let why = match read {
            Ok(Ok(items)) if items.len() == ids.len() => {
                let looked = ids.iter().zip(items).map(|(id, item)| self.look(id, item));
                return Ok(Looked { ids: looked.collect(), late: None });
            }
            Ok(Ok(items)) => {
                let message = format!("the store answered {} items for {}", items.len(), ids.len());
                return Err(CallError::internal(message));
            }
            Ok(Err(error)) => format!("items' features were not read: {error}"),
            Err(_) => "items' features were not read in time".to_owned(),
        };
        Ok(Looked { late: Some(why), ..self.held(ids) })
    }

    /// Feature ids as last known, without asking the store.
    pub(crate) fn held(&self, ids: &[ItemId]) -> Looked {
        let of = |id: &ItemId| match self.held.get(id) {
            Some(held) => held.ids,
            None => Arc::new(self.encoder.missing_item(id)),
        };
        Looked { ids: ids.iter().map(of).collect(), late: None }
    }

    fn look(&self, id: &ItemId, item: Option<Arc<StoredItem>>) -> Arc<ItemFeatures> {
        let Some(item) = item else {
            return Arc::new(self.encoder.missing_item(id));
        };
        if let Some(held) = self.held.get(id).filter(|held| held.content == item.content) {
            return held.ids;
        }
        let ids = Arc::new(self.encoder.item(&item.item));
        let held = Held { content: item.content, ids: Arc::clone(&ids) };
        self.held.insert(id.clone(), held);
        ids
    }
}
