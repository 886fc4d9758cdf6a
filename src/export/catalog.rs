//! `items.parquet` and the images.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
    sync::Arc,
};

use plugrank_contract::{FeatureValues, ItemId};
use plugrank_dataset::{DatasetItem, FeatureType, ImageKind, ItemWriter};
use plugrank_store::{Store, StoreError, StoredItem};

use super::{ExportError, ExportReport, PAGE};
use crate::load::Progress;

/// Items whose images are read at a time.
const IMAGES: usize = 200;

/// Folder of the images, inside the dataset's.
const FOLDER: &str = "images";

/// Items by number.
pub(super) struct Items {
    pub(super) ids: Vec<ItemId>,
    pub(super) numbers: HashMap<ItemId, u32>,
}

/// Writes all items; equal images are one file.
pub(super) async fn write(
    store: &Arc<dyn Store>,
    folder: &Path,
    progress: &Progress,
    report: &mut ExportReport,
) -> Result<Items, ExportError> {
    let columns = columns(store, progress).await?;
    let named: Vec<(&str, FeatureType)> = columns.iter().map(|(name, of)| (&**name, *of)).collect();
    let mut file = ItemWriter::create(folder, &named)?;
    let mut items = Items { ids: Vec::new(), numbers: HashMap::new() };
    let mut images = Images::new(folder);
    let bar = progress.bar("items", store.item_count().await?);
    let mut pages = Pages::new(store);
    while let Some(page) = pages.next().await? {
        for chunk in page.chunks(IMAGES) {
            let pictured: Vec<ItemId> = chunk
                .iter()
                .filter(|stored| stored.item.image_hash.is_some())
                .map(|stored| stored.item.item_id.clone())
                .collect();
            let mut files = store.images(&pictured).await?.into_iter();
            for stored in chunk {
                let item = stored.item.clone();
                // Empty when the item lost its image since.
                let bytes = item.image_hash.and_then(|_| files.next().flatten());
                let image = bytes.map(|bytes| images.keep(&bytes)).transpose()?;
                report.images += u64::from(image.is_some());
                let number = u32::try_from(items.ids.len())
                    .map_err(|_| ExportError::TooLarge("more than 4 billion items"))?;
                // A page read while items are written may repeat one.
                if items.numbers.insert(item.item_id.clone(), number).is_none() {
                    items.ids.push(item.item_id.clone());
                    // A feature that came since the columns were read is left out.
                    let features = item
                        .features
                        .into_iter()
                        .filter(|(name, value)| columns.get(name).is_some_and(|of| of.holds(value)))
                        .collect();
                    let item = plugrank_contract::Item { features, ..item };
                    file.write(&DatasetItem { item, image })?;
                }
                bar.inc(1);
            }
        }
    }
    bar.finish();
    report.items = file.finish()?;
    Ok(items)
}

/// The further columns: every feature that any item has, with what holds all its values.
async fn columns(
    store: &Arc<dyn Store>,
    progress: &Progress,
) -> Result<BTreeMap<String, FeatureType>, ExportError> {
    let bar = progress.bar("columns", store.item_count().await?);
    let mut columns = BTreeMap::new();
    let mut pages = Pages::new(store);
    while let Some(page) = pages.next().await? {
        for stored in &page {
            note(&mut columns, &stored.item.features);
        }
        bar.inc(page.len() as u64);
    }
    bar.finish();
    Ok(columns)
}

/// Adds what these features need of their columns.
pub(super) fn note(columns: &mut BTreeMap<String, FeatureType>, features: &FeatureValues) {
    for (name, value) in features {
        let of = FeatureType::from_value(value);
        match columns.get_mut(name) {
            Some(column) => *column = column.with(of),
            None => drop(columns.insert(name.clone(), of)),
        }
    }
}

/// All items, a page at a time.
struct Pages<'a> {
    store: &'a Arc<dyn Store>,
    after: Option<ItemId>,
}

impl<'a> Pages<'a> {
    fn new(store: &'a Arc<dyn Store>) -> Self {
        Self { store, after: None }
    }

    async fn next(&mut self) -> Result<Option<Vec<Arc<StoredItem>>>, StoreError> {
        let page = self.store.scan_items(self.after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = Some(last.item.item_id.clone());
        Ok(Some(page))
    }
}

/// Image files, named by what they hold.
struct Images<'a> {
    folder: &'a Path,
    kept: HashSet<String>,
}

impl<'a> Images<'a> {
    fn new(folder: &'a Path) -> Self {
        Self { folder, kept: HashSet::new() }
    }

    /// The path of an image inside the dataset's folder.
    fn keep(&mut self, bytes: &[u8]) -> Result<String, ExportError> {
        let kind = if ImageKind::from_bytes(bytes) == Some(ImageKind::Png) { "png" } else { "jpg" };
        let path = format!("{FOLDER}/{}.{kind}", blake3::hash(bytes).to_hex());
        if self.kept.insert(path.clone()) {
            let file = self.folder.join(&path);
            let disk = |source| ExportError::Disk { path: file.display().to_string(), source };
            fs::create_dir_all(self.folder.join(FOLDER)).map_err(disk)?;
            fs::write(&file, bytes).map_err(disk)?;
        }
        Ok(path)
    }
}
