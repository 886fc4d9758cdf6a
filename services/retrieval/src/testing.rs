//! Helpers shared by tests.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, Item, ItemIndex, TimestampMs,
    embedding::{FetchVectors, FetchedVectors},
};
use plugrank_items::ItemTable;
use plugrank_store::{ItemStats, content_hash};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_transport::Service;
use tempfile::TempDir;

use crate::{
    RetrievalOptions, index::pairs::Pairs, indexed::IndexedContents, popularity::Popularity,
    snapshot::Snapshots, state::RetrievalState,
};

/// An available item.
pub(crate) fn item(id: &str, categories: &[&str], created_at: Option<TimestampMs>) -> Item {
    Item {
        item_id: id.into(),
        title: format!("Title of {id}"),
        text: String::new(),
        categories: categories.iter().map(|&name| name.to_owned()).collect(),
        created_at,
        available: true,
        image_hash: None,
        features: Default::default(),
    }
}

/// Writes an item into a table.
pub(crate) fn put(items: &ItemTable, item: &Item) -> ItemIndex {
    items.put([(item, &content_hash(item), ItemStats::default())])[0]
}

/// A table of items.
pub(crate) fn table(items: impl IntoIterator<Item = Item>) -> Arc<ItemTable> {
    let table = ItemTable::new();
    items.into_iter().for_each(|item| {
        put(&table, &item);
    });
    table
}

/// An embedding service that is unavailable.
struct Away;

#[async_trait]
impl Service<FetchVectors> for Away {
    async fn call(&self, _: Context, _: FetchVectors) -> Result<FetchedVectors, CallError> {
        Err(CallError::unavailable("no embedding service in this test"))
    }
}

/// What sources are tested on: an empty catalog, and no vectors.
pub(crate) struct Fixture {
    pub(crate) state: Arc<RetrievalState>,
    _folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.redb");
        let store = EmbeddedStore::open(&file, EmbeddedOptions::default()).unwrap();
        let (options, items) = (RetrievalOptions::default(), ItemTable::new());
        let state = RetrievalState {
            popularity: Popularity::new(&items, &options),
            pairs: Pairs::new(10, options.co_visitation.half_life()),
            options,
            store: Arc::new(store),
            items,
            features: Vec::new(),
            vectors: Arc::new(Away),
            engine: None,
            index: ArcSwapOption::empty(),
            indexed: IndexedContents::default(),
            snapshots: Snapshots::default(),
            maintenance: Arc::default(),
        };
        Self { state: Arc::new(state), _folder: folder }
    }
}
