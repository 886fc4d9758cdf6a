//! The item table of a process: filled once, then kept up to date.

use std::{sync::Arc, time::Instant};

use anyhow::Result;
use parking_lot::Mutex;
use plugrank_bundle::{
    Bundle, GraphName, InputSource,
    features::{Feature, Observed, Seen},
};
use plugrank_contract::{Context, ItemIndex, embedding::FetchVectors};
use plugrank_items::{
    Availability, ColumnStatus, EncodedFeatures, FeatureColumn, FollowParts, Follower, ItemTable,
    TableColumns, TableLoadProgress, TableSink,
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
    /// A new table, with what was kept in the newest snapshot or is in the store.
    ///
    /// # Errors
    /// When the store or the bundle cannot be read.
    pub async fn load(node: &Node, model: Option<&Model>, bundle: &str) -> Result<Self> {
        let catalog = Self::empty(node, model)?;
        catalog.fill(node, model, bundle).await?;
        Ok(catalog)
    }

    /// A new table without items.
    ///
    /// # Errors
    /// When the bundle cannot be read.
    pub fn empty(node: &Node, model: Option<&Model>) -> Result<Self> {
        let encoded = model.map_or_else(EncodedFeatures::all, |model| encoded_by(&model.bundle));
        let items = ItemTable::encoding(node.settings.items.clone(), encoded);
        let features = match model {
            Some(model) => Some(FeatureColumn::new(Arc::new(model.bundle.feature_encoder()?))),
            None => None,
        };
        features.iter().for_each(|column| items.attach(Arc::clone(column)));
        Ok(Self { items, features, loaded: Mutex::default(), follower: Mutex::default() })
    }

    /// Restores the newest snapshot into the table and applies what changed since, or reads the whole catalog.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn fill(&self, node: &Node, model: Option<&Model>, bundle: &str) -> Result<()> {
        let begun = Instant::now();
        let (items, features) = (&self.items, &self.features);
        let bar = node.progress.bar("items", node.store.item_count().await?);
        let parts = LoadTable {
            store: &node.store,
            items,
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
        if let (Some(model), Some(column)) = (model, features) {
            tell_of_features(items, column, &model.bundle.manifest().features.item);
        }
        if model.is_some() && items.is_empty() {
            tracing::warn!(
                bundle,
                "the store has no items, and the bundle ranks a catalog: is `store.path` or the address of \
                 Redis right? `plugrank load` fills it"
            );
        }
        let watched = Arc::clone(items);
        node.health.advise("catalog", move || {
            let empty = watched.is_empty();
            async move {
                match empty {
                    true => Err("the store has no items; `plugrank load` fills it".to_owned()),
                    false => Ok(()),
                }
            }
        });
        *self.loaded.lock() = Some(loaded);
        Ok(())
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

/// What the records of items and the states of users are made of.
fn encoded_by(bundle: &Bundle) -> EncodedFeatures {
    let graphs = [GraphName::ItemEncoder, GraphName::UserEncoder];
    let inputs =
        graphs.iter().filter_map(|graph| bundle.graph(*graph)).flat_map(|spec| &spec.inputs);
    let read: Vec<&str> = inputs
        .filter_map(|input| match &input.source {
            InputSource::ItemFeature(name) | InputSource::HistoryFeature(name) => Some(&**name),
            _ => None,
        })
        .collect();
    let features = bundle.manifest().features.item.iter();
    let read = features.filter(|feature| read.contains(&&*feature.name));
    EncodedFeatures::only(read.filter_map(Feature::column).map(ToOwned::to_owned))
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

/// Says how far the items have what the bundle reads of them.
fn tell_of_features(items: &ItemTable, column: &FeatureColumn, features: &[Feature]) {
    if items.is_empty() {
        return;
    }
    let seen = seen_of_items(items, column, features);
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    let told: Vec<String> = features
        .iter()
        .zip(&seen)
        .filter(|(_, seen)| seen.rows > 0)
        .map(|(feature, seen)| {
            let (missing, unknown) = (share(seen.missing_share()), share(seen.unknown_share()));
            let trained = feature.observed.map(|Observed { missing, unknown }| {
                format!(" (in training {} and {})", share(missing), share(unknown))
            });
            let trained = trained.unwrap_or_default();
            format!("{}: {missing} missing, {unknown} unknown{trained}", feature.name)
        })
        .collect();
    tracing::info!(features = told.join("; "), "what the bundle reads of the items");
    for (feature, seen) in features.iter().zip(&seen) {
        let nothing = seen.rows > 0 && seen.missing == seen.rows;
        let as_trained = feature.observed.is_some_and(|observed| observed.missing >= 1.0);
        if nothing && !as_trained {
            tracing::warn!(
                feature = feature.name,
                column = feature.column().unwrap_or_default(),
                "the bundle reads what no item has: rankings are not what the model was trained for"
            );
        }
    }
}

/// What is found of each feature over the items that are there.
fn seen_of_items(items: &ItemTable, column: &FeatureColumn, features: &[Feature]) -> Vec<Seen> {
    let (view, rows) = (items.view(), column.view());
    let left_out = items.columns().left_out;
    let options = items.options();
    // A number whose column is not kept looks the same whether it is there or not.
    let is_kept = |name: &str| options.keeps(name) && left_out.iter().all(|other| other != name);
    let places: Vec<(Option<usize>, bool)> = features
        .iter()
        .map(|feature| feature.column().unwrap_or_default())
        .map(|name| (view.column_place(name), is_kept(name)))
        .collect();
    let mut seen = vec![Seen::default(); features.len()];
    let there = |index: &ItemIndex| view.availability(*index) != Availability::Removed;
    for index in (0..view.index_end()).filter(there) {
        let Some(row) = rows.row(index) else { continue };
        let has_number = |feature: usize| match places[feature] {
            (Some(place), _) => Some(view.has_value(place, index)),
            (None, is_kept) => is_kept.then_some(false),
        };
        column.encoder().see_item_row(row, has_number, |feature, presence| {
            seen[feature].add(presence);
        });
    }
    seen
}

/// Version of the bundle that an embedding role in another process runs.
///
/// # Errors
/// When it cannot be reached.
pub async fn bundle_in_use(embedding: &Embedding) -> Result<String> {
    let call = FetchVectors { item_ids: Vec::new(), changed: false };
    Ok(embedding.fetch_vectors.call(Context::background(), call).await?.bundle)
}
