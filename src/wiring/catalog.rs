//! The item table of a process: filled once, then kept up to date.

use std::{sync::Arc, time::Instant};

use anyhow::Result;
use parking_lot::Mutex;
use plugrank_contract::{Context, embedding::FetchVectors};
use plugrank_items::{
    ColumnStatus, FeatureColumn, FollowParts, Follower, ItemTable, TableColumns, TableLoadProgress,
    TableSink,
};
use plugrank_retrieval::{EngineKind, LoadTable, LoadedTable, load_table};

use super::{Embedding, Model, Node, options};

/// The item table of a process, and what was attached to it.
pub struct Catalog {
    /// The table.
    pub items: Arc<ItemTable>,
    /// Features of its items by the bundle, where the process has one.
    pub features: Option<Arc<FeatureColumn>>,
    /// For retrieval, which takes it: what the table was filled from.
    loaded: Mutex<Option<LoadedTable>>,
    /// Keeps the table up to date, where retrieval does not.
    follower: Mutex<Option<Follower>>,
}

impl Catalog {
    /// Restores the newest snapshot into a new table, or reads the whole catalog.
    ///
    /// # Errors
    /// When the store or the bundle cannot be read.
    pub async fn load(node: &Node, model: Option<&Model>, bundle: &str) -> Result<Self> {
        let begun = Instant::now();
        let items = ItemTable::with_options(node.settings.items.clone());
        let features = match model {
            Some(model) => Some(FeatureColumn::new(Arc::new(model.bundle.feature_encoder()?))),
            None => None,
        };
        features.iter().for_each(|column| items.attach(Arc::clone(column)));
        let bar = node.progress.bar("items", node.store.item_count().await?);
        let parts = LoadTable {
            store: &node.store,
            items: &items,
            features: features.iter().map(|one| (bundle.to_owned(), Arc::clone(one))).collect(),
            bundle,
            options: &options::retrieval(&node.settings, model),
            engine: node.settings.retrieval.engine.kind == EngineKind::Redis,
        };
        let told = bar.clone();
        let loaded = load_table(parts, move |progress: TableLoadProgress| {
            told.set_position(progress.items);
        })
        .await?;
        bar.finish_and_clear();
        tracing::info!(
            items = items.len(),
            snapshot = loaded.restored().unwrap_or("none"),
            seconds = begun.elapsed().as_secs_f64(),
            "the item table is filled"
        );
        tell_of_columns(&items.columns());
        if model.is_some() && items.is_empty() {
            tracing::warn!(
                bundle,
                "the store has no items, and the bundle ranks a catalog: is `store.path` or the address of \
                 Redis right? `plugrank load` fills it"
            );
        }
        let watched = Arc::clone(&items);
        node.health.advise("catalog", move || {
            let empty = watched.is_empty();
            async move {
                match empty {
                    true => Err("the store has no items; `plugrank load` fills it".to_owned()),
                    false => Ok(()),
                }
            }
        });
        Ok(Self { items, features, loaded: Mutex::new(Some(loaded)), follower: Mutex::default() })
    }

    /// What the table was filled from, once.
    pub(super) fn take_loaded(&self) -> Option<LoadedTable> {
        self.loaded.lock().take()
    }

    /// Follows the store's changes, in a process whose retrieval does not.
    pub async fn follow(&self, node: &Node) {
        let position = self.take_loaded().and_then(|loaded| loaded.position().cloned());
        let Some((log, position)) = node.store.changes().zip(position) else { return };
        let (store, items) = (Arc::clone(&node.store), Arc::clone(&self.items));
        let sink = Arc::new(TableSink { items: Arc::clone(&items), store: Arc::clone(&store) });
        let follower = Follower::start(FollowParts { store, items, log, position, sink });
        follower.followed().caught_up().await;
        *self.follower.lock() = Some(follower);
    }
}

/// Says what filters and rules can name, and what of the items they cannot.
fn tell_of_columns(columns: &TableColumns) {
    let TableColumns { kept, left_out } = columns;
    let bytes: usize = kept.iter().map(|column| column.bytes).sum();
    let listed: Vec<String> = kept
        .iter()
        .map(|column| {
            let ColumnStatus { name, kind, distinct, bytes } = column;
            format!("{name} ({kind}, {distinct} distinct, {} KB)", bytes >> 10)
        })
        .collect();
    tracing::info!(columns = listed.join(", "), mb = bytes >> 20, "columns that filters can name");
    if !left_out.is_empty() {
        tracing::warn!(
            features = left_out.join(", "),
            "features that filters cannot name: see items.columns and items.max_columns"
        );
    }
}

/// Version of the bundle that an embedding role in another process runs.
///
/// # Errors
/// When it cannot be reached.
pub async fn bundle_in_use(embedding: &Embedding) -> Result<String> {
    let call = FetchVectors { item_ids: Vec::new(), changed: false };
    Ok(embedding.fetch_vectors.call(Context::background(), call).await?.bundle)
}
