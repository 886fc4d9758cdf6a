//! Feature ids of items, kept in memory.

use std::sync::Arc;

use moka::sync::Cache;
use plugrank_bundle::{FeatureEncoder, ItemFeatures};
use plugrank_contract::{CallError, ItemId, item::ContentHash};
use plugrank_store::Store;

/// What a cache entry takes beside its ids, roughly.
const ENTRY_OVERHEAD: usize = 160;

#[derive(Clone)]
struct Held {
    content: ContentHash,
    ids: Arc<ItemFeatures>,
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

    /// Feature ids, same order. Of an item the catalog does not have only the id is known.
    pub(crate) async fn of(&self, ids: &[ItemId]) -> Result<Vec<Arc<ItemFeatures>>, CallError> {
        let items = self.store.items(ids).await.map_err(|error| {
            CallError::unavailable(format!("items' features were not read: {error}"))
        })?;
        if items.len() != ids.len() {
            let message = format!("the store answered {} items for {}", items.len(), ids.len());
            return Err(CallError::internal(message));
        }
        let of = |(id, item): (&ItemId, Option<_>)| {
            let Some(item): Option<Arc<plugrank_store::StoredItem>> = item else {
                return Arc::new(self.encoder.missing_item(id));
            };
            if let Some(held) = self.held.get(id).filter(|held| held.content == item.content) {
                return held.ids;
            }
            let ids = Arc::new(self.encoder.item(&item.item));
            let held = Held { content: item.content, ids: Arc::clone(&ids) };
            self.held.insert(id.clone(), held);
            ids
        };
        Ok(ids.iter().zip(items).map(of).collect())
    }
}
