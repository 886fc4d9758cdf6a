//! Features of items, encoded by the vocabularies of one bundle.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use plugrank_bundle::FeatureEncoder;
use plugrank_contract::{Item, ItemIndex};

use crate::pages::{Pages, PagesMut};

/// Rows of a page.
const PAGE_ROWS: usize = 512;

/// What the graphs of one bundle read of every item: [`FeatureColumn::width`] cells an item, ids or the
/// bits of numbers, in the order of the bundle's item features.
///
/// ```
/// use std::{path::Path, sync::Arc};
///
/// use plugrank_bundle::Bundle;
/// use plugrank_contract::Item;
/// use plugrank_items::{FeatureColumn, ItemTable};
/// use plugrank_store::{ItemStats, content_hash};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/simshop/bundle");
/// let encoder = Bundle::open(Path::new(folder)).unwrap().feature_encoder().unwrap();
/// let column = FeatureColumn::new(Arc::new(encoder));
/// let table = ItemTable::new();
/// table.attach(Arc::clone(&column));
/// # let lamp: Item = serde_json::from_value(serde_json::json!({"item_id": "lamp", "title": "Lamp", "text": "",
/// #     "categories": [], "created_at": null, "available": true, "image_hash": null, "features": {}})).unwrap();
/// let index = table.put([(&lamp, &content_hash(&lamp), ItemStats::default())])[0];
/// assert_eq!(column.view().row(index).unwrap(), &*column.encoder().item(&lamp));
/// assert_eq!(column.view().row(index).unwrap().len(), column.width());
/// ```
#[derive(Debug)]
pub struct FeatureColumn {
    encoder: Arc<FeatureEncoder>,
    width: usize,
    published: ArcSwap<Pages<Page>>,
    writer: Mutex<PagesMut<Page>>,
}

/// A page's rows side by side; empty before the first is written.
type Page = Vec<u32>;

impl FeatureColumn {
    /// An empty column for the features of `encoder`.
    #[must_use]
    pub fn new(encoder: Arc<FeatureEncoder>) -> Arc<Self> {
        let width = encoder.item_slots().iter().map(|slot| slot.length).sum();
        let (published, writer) = (ArcSwap::default(), Mutex::default());
        Arc::new(Self { encoder, width, published, writer })
    }

    /// Cells of an item.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// What encodes.
    #[must_use]
    pub fn encoder(&self) -> &Arc<FeatureEncoder> {
        &self.encoder
    }

    /// The rows as they are now. Take one a request.
    #[must_use]
    pub fn view(&self) -> FeatureRows {
        FeatureRows { width: self.width, pages: Pages::clone(&self.published.load()) }
    }

    pub(crate) fn write(&self) -> Writing<'_> {
        Writing { column: self, pages: self.writer.lock() }
    }

    /// All rows up to `end`, side by side, for a snapshot.
    #[must_use]
    pub fn saved(&self, end: ItemIndex) -> Vec<u32> {
        let view = self.view();
        let none = vec![0; self.width];
        (0..end).flat_map(|index| view.row(index).unwrap_or(&none).to_vec()).collect()
    }

    /// Fills the column with what [`Self::saved`] gave; whether the number of cells fits.
    #[must_use]
    pub fn restore(&self, saved: &[u32], items: usize) -> bool {
        if saved.len() != items * self.width {
            return false;
        }
        let mut writing = self.write();
        for (index, row) in saved.chunks_exact(self.width.max(1)).enumerate() {
            writing.row(index as ItemIndex).copy_from_slice(row);
        }
        writing.publish();
        true
    }
}

/// Rows that are written and not published yet.
pub(crate) struct Writing<'a> {
    column: &'a FeatureColumn,
    pages: MutexGuard<'a, PagesMut<Page>>,
}

impl Writing<'_> {
    fn row(&mut self, index: ItemIndex) -> &mut [u32] {
        let width = self.column.width;
        let page = self.pages.page_mut(index as usize / PAGE_ROWS);
        page.resize(PAGE_ROWS * width, 0);
        &mut page[index as usize % PAGE_ROWS * width..][..width]
    }

    pub(crate) fn put(&mut self, index: ItemIndex, item: &Item) {
        let column = self.column;
        let cells = column.encoder.item(item);
        self.row(index).copy_from_slice(&cells);
    }

    pub(crate) fn publish(mut self) {
        let pages = self.pages.publish();
        self.column.published.store(Arc::new(pages));
    }
}

/// The rows of a [`FeatureColumn`] as one reader sees them.
///
/// [`FeatureColumn`] has an example.
#[derive(Clone, Debug)]
pub struct FeatureRows {
    width: usize,
    pages: Pages<Page>,
}

impl FeatureRows {
    /// The cells of an item; `None` for one that was never written.
    #[must_use]
    pub fn row(&self, index: ItemIndex) -> Option<&[u32]> {
        let page = self.pages.get(index as usize / PAGE_ROWS)?;
        page.get(index as usize % PAGE_ROWS * self.width..)?.get(..self.width)
    }
}
