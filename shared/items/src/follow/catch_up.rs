//! Brings a table up to date once.

use std::sync::Arc;

use plugrank_store::{ChangeLog, ChangePosition, Store, changes::Next};

use super::{
    SinkError, TableSink,
    apply::{apply_changes, reread},
};
use crate::ItemTable;

/// Applies to a table what changed between `position`, which it stands for, and now; what it stands for then.
/// [`Follower`](super::Follower) goes on from there. Where the changes are no longer kept the whole catalog is read
/// again.
///
/// ```
/// use std::sync::Arc;
///
/// use plugrank_contract::Item;
/// use plugrank_items::{ItemTable, follow::catch_up};
/// use plugrank_store::{NewItem, Store};
/// use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let folder = tempfile::tempdir().unwrap();
/// # let file = folder.path().join("store.redb");
/// let store: Arc<dyn Store> =
///     Arc::new(EmbeddedStore::open(&file, EmbeddedOptions::default()).unwrap());
/// let log = store.changes().unwrap();
/// let items = ItemTable::new();
/// let position = log.end().await.unwrap();
/// # let lamp: Item = serde_json::from_value(serde_json::json!({"item_id": "lamp", "title": "Lamp", "text": "",
/// #     "categories": [], "created_at": null, "available": true, "image_hash": null, "features": {}})).unwrap();
/// store.put_items(vec![NewItem { item: lamp, image: None }]).await.unwrap();
/// let now = catch_up(&items, &store, log.as_ref(), position).await.unwrap();
/// assert!(items.view().index_of("lamp").is_some());
/// assert_eq!(now, log.end().await.unwrap());
/// # }
/// ```
///
/// # Errors
/// When the store cannot be read.
pub async fn catch_up(
    items: &Arc<ItemTable>,
    store: &Arc<dyn Store>,
    log: &dyn ChangeLog,
    position: ChangePosition,
) -> Result<ChangePosition, SinkError> {
    let sink = TableSink { items: Arc::clone(items), store: Arc::clone(store) };
    let end = log.end().await?;
    let mut position = position;
    loop {
        position = match log.after(&position).await? {
            Next::Nothing => return Ok(position),
            Next::Changes(changes) => {
                apply_changes(store.as_ref(), items, &sink, &changes).await?;
                changes.position
            }
            Next::Lost => {
                tracing::warn!("changes were missed: the whole catalog is read again");
                reread(store.as_ref(), items, &sink).await?;
                return Ok(end);
            }
        };
        // What is written while this runs is for those who follow.
        if position.0.iter().zip(&end.0).all(|(at, end)| at.count >= end.count) {
            return Ok(position);
        }
    }
}
