//! `items.parquet` and the images.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use plugrank_contract::{FeatureValues, ItemId};
use plugrank_dataset::{DatasetItem, FeatureType, ImageKind, ItemWriter, TableTarget};
use plugrank_store::{Store, StoreError, StoredItem};

use crate::{ExportError, ExportReport, ExportWatch, PAGE};

/// Items whose images are read at a time.
const IMAGES: usize = 200;

/// Folder of the images, inside the dataset's.
const FOLDER: &str = "images";

/// Items by number.
#[derive(Default)]
pub(crate) struct Items {
    pub(crate) ids: Vec<ItemId>,
    pub(crate) numbers: HashMap<ItemId, u32>,
}

impl Items {
    /// Numbers an item; whether it is a new one: a page that is read while items are written may repeat one.
    fn add(&mut self, id: &ItemId) -> Result<bool, ExportError> {
        let number = u32::try_from(self.ids.len())
            .map_err(|_| ExportError::TooLarge("more than 4 billion items"))?;
        let new = self.numbers.insert(id.clone(), number).is_none();
        if new {
            self.ids.push(id.clone());
        }
        Ok(new)
    }
}

/// Numbers all items.
pub(crate) async fn read_ids(
    store: &Arc<dyn Store>,
    watch: &dyn ExportWatch,
) -> Result<Items, ExportError> {
    let mut items = Items::default();
    watch.begin("items", Some(store.item_count().await?));
    let mut pages = Pages::new(store);
    while let Some(page) = pages.next().await? {
        for stored in &page {
            items.add(&stored.item.item_id)?;
        }
        watch.advance(page.len() as u64).await?;
    }
    watch.end();
    Ok(items)
}

/// Writes all items; equal images are one file.
pub(crate) async fn write(
    store: &Arc<dyn Store>,
    target: TableTarget,
    images: &mut ImageFiles,
    watch: &dyn ExportWatch,
    report: &mut ExportReport,
) -> Result<Items, ExportError> {
    let columns = columns(store, watch).await?;
    let named: Vec<(&str, FeatureType)> = columns.iter().map(|(name, of)| (&**name, *of)).collect();
    let mut file = ItemWriter::create(target, &named)?;
    let mut items = Items::default();
    watch.begin("items", Some(store.item_count().await?));
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
                if items.add(&item.item_id)? {
                    // A feature that came since the columns were read is left out.
                    let features = item
                        .features
                        .into_iter()
                        .filter(|(name, value)| columns.get(name).is_some_and(|of| of.holds(value)))
                        .collect();
                    let item = plugrank_contract::Item { features, ..item };
                    file.write(DatasetItem { item, image })?;
                }
            }
            watch.advance(chunk.len() as u64).await?;
        }
    }
    report.items = file.finish()?;
    watch.end();
    Ok(items)
}

/// The further columns: every feature that any item has, with what holds all its values.
async fn columns(
    store: &Arc<dyn Store>,
    watch: &dyn ExportWatch,
) -> Result<BTreeMap<String, FeatureType>, ExportError> {
    watch.begin("columns", Some(store.item_count().await?));
    let mut columns = BTreeMap::new();
    let mut pages = Pages::new(store);
    while let Some(page) = pages.next().await? {
        for stored in &page {
            note(&mut columns, &stored.item.features);
        }
        watch.advance(page.len() as u64).await?;
    }
    watch.end();
    Ok(columns)
}

/// Adds what these features need of their columns.
pub(crate) fn note(columns: &mut BTreeMap<String, FeatureType>, features: &FeatureValues) {
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
pub(crate) struct ImageFiles {
    /// Of the dataset; `None` where they are only named.
    folder: Option<PathBuf>,
    kept: HashSet<String>,
}

impl ImageFiles {
    /// Files in a dataset's folder.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), kept: HashSet::new() }
    }

    /// Files that are not written.
    pub(crate) fn unwritten() -> Self {
        Self { folder: None, kept: HashSet::new() }
    }

    /// The path of an image inside the dataset's folder.
    fn keep(&mut self, bytes: &[u8]) -> Result<String, ExportError> {
        let kind = if ImageKind::from_bytes(bytes) == Some(ImageKind::Png) { "png" } else { "jpg" };
        let path = format!("{FOLDER}/{}.{kind}", blake3::hash(bytes).to_hex());
        let Some(folder) = &self.folder else { return Ok(path) };
        if self.kept.insert(path.clone()) {
            let file = folder.join(&path);
            let disk = |source| ExportError::Disk { path: file.display().to_string(), source };
            fs::create_dir_all(folder.join(FOLDER)).map_err(disk)?;
            fs::write(&file, bytes).map_err(disk)?;
        }
        Ok(path)
    }
}
