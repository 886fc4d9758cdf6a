//! What earlier pages of a list showed.

use std::sync::Arc;

use plugrank_contract::{ItemId, ItemIds, ItemIndex};
use plugrank_items::ItemTable;

/// Items by their fingerprints, as a cursor holds them. Most requests have none, and pay nothing.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Ascending.
    fingerprints: Arc<[u32]>,
    items: Option<Arc<ItemTable>>,
}

impl Shown {
    /// Of these fingerprints, ascending, among the items of a table.
    pub(crate) fn new(fingerprints: &Arc<[u32]>, items: &Arc<ItemTable>) -> Self {
        let items = (!fingerprints.is_empty()).then(|| Arc::clone(items));
        Self { fingerprints: Arc::clone(fingerprints), items }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// Whether an item was shown.
    pub(crate) fn contains(&self, index: ItemIndex) -> bool {
        let Some(items) = &self.items else { return false };
        let fingerprint = items.id(index).map(ItemId::fingerprint);
        fingerprint.is_some_and(|found| self.fingerprints.binary_search(&found).is_ok())
    }
}
