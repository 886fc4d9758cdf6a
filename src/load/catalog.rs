//! Items and users.

use std::{collections::HashMap, mem, sync::Arc};

use plugrank_contract::{Item, ItemId};
use plugrank_dataset::{DatasetFolder, DatasetItem};
use plugrank_store::{NewItem, Store};

use super::{LoadError, LoadOptions, LoadReport, Progress, writers::Writers};

/// Bytes of images that are written at a time.
const IMAGE_BYTES: usize = 16 << 20;
/// Items that are written at a time.
const ITEMS: usize = 2048;

/// The items of a data set by position, and their positions by id.
pub(super) struct Items {
    ids: Vec<ItemId>,
    positions: HashMap<ItemId, u32>,
}

impl Items {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn id(&self, position: u32) -> &ItemId {
        &self.ids[position as usize]
    }

    pub(super) fn position(&self, id: &ItemId) -> Option<u32> {
        self.positions.get(id).copied()
    }

    fn add(&mut self, id: &ItemId) -> Result<(), LoadError> {
        let position = u32::try_from(self.ids.len())
            .map_err(|_| LoadError::TooLarge("more than 4 billion items"))?;
        self.positions.insert(id.clone(), position);
        self.ids.push(id.clone());
        Ok(())
    }
}

pub(super) async fn items(
    store: &Arc<dyn Store>,
    folder: &DatasetFolder,
    options: LoadOptions<'_>,
    progress: &Progress,
    report: &mut LoadReport,
) -> Result<Items, LoadError> {
    let batches = folder.items()?;
    let bar = progress.bar("items", batches.rows());
    let mut items = Items { ids: Vec::new(), positions: HashMap::new() };
    let (mut waiting, mut bytes) = (Vec::new(), 0);
    let mut writers = Writers::default();
    let put = |items| {
        let store = Arc::clone(store);
        async move { store.put_items(items).await }
    };
    for batch in batches {
        let mut rows = batch?;
        compare(store, &mut rows, options, report).await?;
        for row in rows {
            items.add(&row.item.item_id)?;
            let image = row.image.as_deref().map(|image| folder.image(image)).transpose()?;
            report.items += 1;
            report.images += u64::from(image.is_some());
            bytes += image.as_ref().map_or(0, Vec::len);
            waiting.push(NewItem { item: row.item, image });
            if waiting.len() == ITEMS || bytes >= IMAGE_BYTES {
                writers.begin(put(mem::take(&mut waiting))).await?;
                bytes = 0;
                bar.set_position(report.items);
            }
        }
    }
    writers.begin(put(waiting)).await?;
    writers.end().await?;
    bar.finish();
    Ok(items)
}

/// Holds rows against what the store has of their items. Those that were withdrawn from it stay so, unless
/// told otherwise; what happens to them, and how many others change, is counted.
async fn compare(
    store: &Arc<dyn Store>,
    rows: &mut [DatasetItem],
    options: LoadOptions<'_>,
    report: &mut LoadReport,
) -> Result<(), LoadError> {
    if report.items_before == 0 {
        return Ok(());
    }
    let ids: Vec<ItemId> = rows.iter().map(|row| row.item.item_id.clone()).collect();
    for (row, known) in rows.iter_mut().zip(store.items(&ids).await?) {
        let Some(known) = known else { continue };
        if row.item.available && !known.item.available {
            if options.restore_withdrawn {
                report.withdrawn_restored += 1;
            } else {
                report.withdrawn_kept += 1;
                row.item.available = false;
            }
        }
        // The hash of an image is the store's.
        let before = Item { image_hash: None, ..known.item.clone() };
        if before != row.item {
            report.overwritten += 1;
        }
    }
    Ok(())
}

pub(super) async fn users(
    store: &Arc<dyn Store>,
    folder: &DatasetFolder,
    progress: &Progress,
    report: &mut LoadReport,
) -> Result<(), LoadError> {
    let batches = folder.users()?;
    let bar = progress.bar("users", batches.rows());
    let mut writers = Writers::default();
    for batch in batches {
        let users = batch?;
        users.iter().for_each(|user| report.sample(&user.user_id));
        report.users += users.len() as u64;
        let store = Arc::clone(store);
        writers.begin(async move { store.put_users(users).await }).await?;
        bar.set_position(report.users);
    }
    writers.end().await?;
    bar.finish();
    Ok(())
}
