//! Items and their images.

use std::{ops::Bound, sync::Arc};

use plugrank_contract::{Item, ItemId};
use plugrank_store::{NewItem, StoredItem, codec};
use redb::{ReadTransaction, ReadableTableMetadata, TableDefinition, WriteTransaction};

use crate::{changed_rows::insert_changed, error::Failure};

/// Item id to [`codec::encode_item`].
pub(crate) const ITEMS: TableDefinition<&str, &[u8]> = TableDefinition::new("items");
/// Item id to the image file's bytes.
pub(crate) const IMAGES: TableDefinition<&str, &[u8]> = TableDefinition::new("images");

/// An item ready to be written.
pub(crate) struct Row {
    pub(crate) id: ItemId,
    item: Vec<u8>,
    image: Option<Vec<u8>>,
}

/// Encodes items, ordered by id (neighbours in the tree are cheaper to write); of equal ids the
/// last stays.
pub(crate) fn rows(items: Vec<NewItem>) -> Vec<Row> {
    let mut rows: Vec<Row> = items
        .into_iter()
        .map(|new| {
            let stored = codec::stored(new.item, new.image.as_deref());
            let item = codec::encode_item(&stored);
            Row { id: stored.item.item_id, item, image: new.image }
        })
        .collect();
    rows.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    codec::keep_last(&mut rows, |row| row.id.clone());
    rows
}

/// Rows of items whose images stay.
pub(crate) fn rows_without_images(items: Vec<Item>) -> Vec<(ItemId, Vec<u8>)> {
    let mut rows: Vec<(ItemId, Vec<u8>)> = items
        .into_iter()
        .map(|item| {
            let stored = codec::with_kept_image(item);
            let bytes = codec::encode_item(&stored);
            (stored.item.item_id, bytes)
        })
        .collect();
    codec::keep_last(&mut rows, |(id, _)| id.clone());
    rows
}

/// Writes items without their images.
pub(crate) fn update(txn: &WriteTransaction, rows: &[(ItemId, Vec<u8>)]) -> Result<(), Failure> {
    let mut items = txn.open_table(ITEMS)?;
    for (id, item) in rows {
        insert_changed(&mut items, id.as_str(), item)?;
    }
    Ok(())
}

pub(crate) fn put(txn: &WriteTransaction, rows: &[Row]) -> Result<(), Failure> {
    let mut items = txn.open_table(ITEMS)?;
    let mut images = txn.open_table(IMAGES)?;
    for row in rows {
        let known = insert_changed(&mut items, row.id.as_str(), &row.item)?;
        match &row.image {
            Some(image) => {
                insert_changed(&mut images, row.id.as_str(), image)?;
            }
            None if known => {
                images.remove(row.id.as_str())?;
            }
            None => {}
        }
    }
    Ok(())
}

pub(crate) fn delete(txn: &WriteTransaction, ids: &[ItemId]) -> Result<(), Failure> {
    let mut items = txn.open_table(ITEMS)?;
    let mut images = txn.open_table(IMAGES)?;
    for id in ids {
        items.remove(id.as_str())?;
        images.remove(id.as_str())?;
    }
    Ok(())
}

/// Items by id, same order.
pub(crate) fn get<'a>(
    txn: &ReadTransaction,
    ids: impl IntoIterator<Item = &'a ItemId>,
) -> Result<Vec<Option<Arc<StoredItem>>>, Failure> {
    let table = txn.open_table(ITEMS)?;
    ids.into_iter()
        .map(|id| table.get(id.as_str())?.map(|value| decode(value.value())).transpose())
        .collect()
}

pub(crate) fn images(
    txn: &ReadTransaction,
    ids: &[ItemId],
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let table = txn.open_table(IMAGES)?;
    ids.iter().map(|id| Ok(table.get(id.as_str())?.map(|value| value.value().to_vec()))).collect()
}

/// Up to `limit` items whose id's bytes come after those of `after`.
pub(crate) fn scan(
    txn: &ReadTransaction,
    after: Option<&ItemId>,
    limit: usize,
) -> Result<Vec<Arc<StoredItem>>, Failure> {
    let table = txn.open_table(ITEMS)?;
    let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_str()));
    table
        .range::<&str>((start, Bound::Unbounded))?
        .take(limit)
        .map(|row| decode(row?.1.value()))
        .collect()
}

/// Whether there are items of these ids, same order.
pub(crate) fn has(txn: &ReadTransaction, ids: &[ItemId]) -> Result<Vec<bool>, Failure> {
    let table = txn.open_table(ITEMS)?;
    ids.iter().map(|id| Ok(table.get(id.as_str())?.is_some())).collect()
}

pub(crate) fn count(txn: &ReadTransaction) -> Result<u64, Failure> {
    Ok(txn.open_table(ITEMS)?.len()?)
}

fn decode(bytes: &[u8]) -> Result<Arc<StoredItem>, Failure> {
    codec::decode_item(bytes).map(Arc::new).map_err(|error| Failure::unreadable("items", error))
}
