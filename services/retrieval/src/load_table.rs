//! Fills the item table: the first step of a start, before anything reads it.

use std::sync::Arc;

use plugrank_items::{
    ItemTable, TableLoadProgress,
    follow::{SinkError, catch_up},
};
use plugrank_store::{ChangePosition, Store, StoreError};

use crate::{
    RetrievalError, RetrievalOptions,
    snapshot::{self, Restored},
    state::FeatureColumns,
};

/// What the table is filled from.
pub struct LoadTable<'a> {
    /// The catalog.
    pub store: &'a Arc<dyn Store>,
    /// The table, empty, with its feature columns attached.
    pub items: &'a Arc<ItemTable>,
    /// These columns: a snapshot keeps them, and one without them is not used.
    pub features: FeatureColumns,
    /// Version of the bundle in use: a snapshot with vectors of another is not used.
    pub bundle: &'a str,
    /// Where snapshots are, and how their index must have been made.
    pub options: &'a RetrievalOptions,
    /// Whether item vectors are in an engine rather than in an index of this process.
    pub engine: bool,
}

/// A filled table, for [`RetrievalParts`](crate::RetrievalParts).
pub struct LoadedTable {
    pub(crate) items: Arc<ItemTable>,
    pub(crate) features: FeatureColumns,
    /// What it stands for, where the store tells of changes.
    pub(crate) position: Option<ChangePosition>,
    /// What the index of its snapshot stands for; `position` where there is none.
    pub(crate) indexed_at: Option<ChangePosition>,
    pub(crate) restored: Option<Restored>,
}

impl LoadedTable {
    /// The table.
    #[must_use]
    pub fn items(&self) -> &Arc<ItemTable> {
        &self.items
    }

    /// What the table stands for, where the store tells of changes.
    #[must_use]
    pub fn position(&self) -> Option<&ChangePosition> {
        self.position.as_ref()
    }

    /// Name of the snapshot that it was restored from, if so.
    #[must_use]
    pub fn restored(&self) -> Option<&str> {
        self.restored.as_ref().map(|restored| restored.name.as_str())
    }
}

/// Restores the newest snapshot of the bundle into the table and applies what changed since to it, or reads the whole
/// catalog. What changes from then on is applied once the service is built, or by a
/// [`Follower`](plugrank_items::Follower) from [`LoadedTable::position`] on.
///
/// # Errors
/// When the store cannot be read, or a snapshot spoilt the table.
pub async fn load_table(
    parts: LoadTable<'_>,
    progress: impl Fn(TableLoadProgress) + Send + Sync,
) -> Result<LoadedTable, RetrievalError> {
    let LoadTable { store, items, features, bundle, options, engine } = parts;
    let items = Arc::clone(items);
    let log = store.changes();
    let folder = options.snapshot.path.clone().filter(|_| log.is_some());
    if let Some(folder) = folder {
        let wanted = snapshot::Wanted {
            items: Arc::clone(&items),
            features: features.clone(),
            bundle: bundle.to_owned(),
            index: (!engine).then(|| options.ann.clone()),
        };
        let newest = tokio::task::spawn_blocking(move || snapshot::newest(&folder, &wanted)).await;
        let newest = newest.map_err(|error| {
            RetrievalError::Snapshot(format!("reading it ended early: {error}"))
        })?;
        if let (Some((restored, at)), Some(log)) = (newest?, &log) {
            let unread = |error: SinkError| match error.downcast::<StoreError>() {
                Ok(error) => RetrievalError::Store(*error),
                Err(error) => RetrievalError::Snapshot(error.to_string()),
            };
            let position =
                catch_up(&items, store, log.as_ref(), at.clone()).await.map_err(unread)?;
            let (position, indexed_at, restored) = (Some(position), Some(at), Some(restored));
            return Ok(LoadedTable { items, features, position, indexed_at, restored });
        }
    }
    // The position before the catalog: what changes while it is read comes after.
    let position = match &log {
        Some(log) => Some(log.end().await?),
        None => None,
    };
    items.load(store.as_ref(), &progress).await?;
    let indexed_at = position.clone();
    Ok(LoadedTable { items, features, position, indexed_at, restored: None })
}
