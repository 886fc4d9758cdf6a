//! The table and its one writer.

use std::{
    cmp::Reverse,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use arc_swap::ArcSwap;
use crossbeam_skiplist::SkipSet;
use parking_lot::{Mutex, RwLock};
use plugrank_contract::{
    Item, ItemId, ItemIds, ItemIndex, TimestampMs, UNKNOWN_ITEM, item::ContentHash,
};
use plugrank_store::{ItemStats, Store, StoreError};

use crate::{
    ColumnStatus, EncodedFeatures, FeatureColumn, ItemsOptions,
    availability_bits::{AvailabilityBits, AvailabilityBitsMut},
    columns::{Column, ColumnsMut, SavedColumns},
    id_index::IdIndex,
    interner::Interner,
    pages::{Pages, PagesMut},
    row::{Availability, CategoryIndex, ItemRow, PAGE_ROWS, RowPage},
    stats_cell::StatsCell,
};

/// Items read from the store at a time.
const CHUNK: usize = 1_024;

/// What the request path reads of every item, its records apart.
///
/// ```
/// use plugrank_contract::{Item, ItemId};
/// use plugrank_items::ItemTable;
/// use plugrank_store::{ItemStats, content_hash};
///
/// let lamp = Item {
///     item_id: "lamp".into(),
///     title: "Lamp".to_owned(),
///     text: String::new(),
///     categories: vec!["home".to_owned()],
///     created_at: None,
///     available: true,
///     image_hash: None,
///     features: Default::default(),
/// };
/// let table = ItemTable::new();
/// let before = table.view();
/// let index = table.put([(&lamp, &content_hash(&lamp), ItemStats::default())])[0];
/// // A view does not change; take one a request.
/// assert!(!before.available(index));
/// let view = table.view();
/// assert_eq!(view.index_of("lamp"), Some(index));
/// assert_eq!(view.category_name(view.categories(index)[0]), Some("home"));
///
/// // An index stays its item's, also when the item is gone.
/// table.remove([&ItemId::from("lamp")]);
/// assert_eq!(table.view().id(index), Some(&"lamp".into()));
/// assert_eq!(table.view().index_of("lamp"), None);
/// ```
#[derive(Debug, Default)]
pub struct ItemTable {
    pub(crate) ids: IdIndex,
    pub(crate) category_names: Interner<String>,
    /// Distinct lists of categories: far fewer than items.
    pub(crate) category_lists: Interner<Box<[CategoryIndex]>>,
    /// By index. Events change them often, and no reader needs both numbers of one moment.
    pub(crate) stats: boxcar::Vec<StatsCell>,
    /// Available items that have a time of creation, the newest first: each step backward in such a
    /// set would be a search of its own.
    pub(crate) by_creation: SkipSet<Reverse<(TimestampMs, ItemIndex)>>,
    /// Available items written since [`ItemTable::listed`] was last told about them.
    pub(crate) unlisted: SkipSet<ItemIndex>,
    pub(crate) rows: ArcSwap<Rows>,
    present: AtomicUsize,
    writer: Mutex<Writer>,
    features: RwLock<Vec<Arc<FeatureColumn>>>,
    encoded: EncodedFeatures,
    /// Held while items are read again, so that an older read never replaces a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

/// The rows as they were published.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) pages: Pages<RowPage>,
    /// What the rows say of availability.
    pub(crate) available: AvailabilityBits,
    /// What filters and rules read.
    pub(crate) columns: Arc<[Column]>,
    /// Grows when an item comes, goes or changes its content.
    pub(crate) epoch: u64,
}

#[derive(Debug, Default)]
struct Writer {
    rows: PagesMut<RowPage>,
    available: AvailabilityBitsMut,
    columns: ColumnsMut,
    epoch: u64,
}

impl Writer {
    fn row(&self, index: ItemIndex) -> ItemRow {
        let page = self.rows.get(index as usize / PAGE_ROWS);
        page.map_or_else(ItemRow::default, |page| page.0[index as usize % PAGE_ROWS])
    }

    fn set(&mut self, index: ItemIndex, row: ItemRow) {
        self.rows.page_mut(index as usize / PAGE_ROWS).0[index as usize % PAGE_ROWS] = row;
        self.available.set(index, row.availability == Availability::Available);
    }
}

/// What reading items again came to.
///
/// [`ItemTable::refresh`] returns it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefreshedItems {
    /// Items that are in the catalog.
    pub written: Vec<ItemIndex>,
    /// Items that are not, or no longer.
    pub removed: Vec<ItemIndex>,
}

/// How far loading is.
///
/// [`ItemTable::load`] reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableLoadProgress {
    /// Items read.
    pub items: u64,
    /// Items there are.
    pub total: u64,
}

/// The columns of a table.
///
/// ```
/// use plugrank_contract::Item;
/// use plugrank_items::{ItemTable, ItemsOptions};
/// use plugrank_store::{ItemStats, content_hash};
///
/// let table = ItemTable::with_options(ItemsOptions { columns: Some(vec!["price".into()]), ..Default::default() });
/// # let lamp: Item = serde_json::from_value(serde_json::json!({"item_id": "lamp", "title": "Lamp", "text": "",
/// #     "categories": [], "created_at": null, "available": true, "image_hash": null,
/// #     "features": {"price": 20, "brand": "x"}})).unwrap();
/// table.put([(&lamp, &content_hash(&lamp), ItemStats::default())]);
/// let columns = table.columns();
/// let kept: Vec<_> = columns.kept.iter().map(|column| (&*column.name, column.kind)).collect();
/// assert_eq!(kept, [("categories", "texts"), ("price", "numbers")]);
/// assert_eq!(columns.left_out, ["brand"]);
/// assert!(table.number_column("price").is_ok() && table.number_column("brand").is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableColumns {
    /// Those that are kept.
    pub kept: Vec<ColumnStatus>,
    /// Names of features that items have and that are not kept, at most a thousand.
    pub left_out: Vec<String>,
}

impl ItemTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// An empty table that keeps these columns.
    #[must_use]
    pub fn with_options(options: ItemsOptions) -> Arc<Self> {
        Self::encoding(options, EncodedFeatures::all())
    }

    /// An empty table that keeps these columns, and whose content versions are of what encoders read.
    #[must_use]
    pub fn encoding(options: ItemsOptions, encoded: EncodedFeatures) -> Arc<Self> {
        let writer = Writer { columns: ColumnsMut::new(options), ..Writer::default() };
        Arc::new(Self { writer: Mutex::new(writer), encoded, ..Self::default() })
    }

    /// What its content versions are of.
    #[must_use]
    pub fn encoded(&self) -> &EncodedFeatures {
        &self.encoded
    }

    /// Which columns it keeps.
    #[must_use]
    pub fn options(&self) -> ItemsOptions {
        self.writer.lock().columns.options().clone()
    }

    /// What its columns hold and take.
    #[must_use]
    pub fn columns(&self) -> TableColumns {
        let writer = self.writer.lock();
        TableColumns { kept: writer.columns.status(), left_out: writer.columns.left_out() }
    }

    /// Whether items have numbers in a column of this name, or may come to.
    ///
    /// # Errors
    /// When none does, or none will: the text says why, and which columns there are.
    pub fn number_column(&self, name: &str) -> Result<(), String> {
        let TableColumns { kept, left_out } = self.columns();
        match kept.iter().find(|column| column.name == name) {
            Some(column) if column.kind != "texts" => return Ok(()),
            // A column without values is there from the start.
            Some(column) if column.distinct > 0 => {
                return Err("its values are texts; a number is needed".to_owned());
            }
            _ => {}
        }
        if !self.options().keeps(name) || left_out.iter().any(|left_out| left_out == name) {
            return Err(
                "it is not kept as a column; see items.columns and items.max_columns".to_owned()
            );
        }
        // The first item may have it.
        if self.is_empty() {
            return Ok(());
        }
        let numbers = kept.iter().filter(|column| column.kind != "texts");
        let numbers: Vec<&str> = numbers.map(|column| &*column.name).collect();
        let listed = if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") };
        Err(format!("no item has such a feature; columns of numbers are: {listed}"))
    }

    /// Items that are there, shown or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.present.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Grows when an item comes, goes or changes its content.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.rows.load().epoch
    }

    /// Keeps the features of a bundle from now on. Items that are there already are not encoded:
    /// attach before loading.
    pub fn attach(&self, features: Arc<FeatureColumn>) {
        self.features.write().push(features);
    }

    /// Writes items, replacing those of the same id; their indices, same order.
    pub fn put<'a>(
        &self,
        items: impl IntoIterator<Item = (&'a Item, &'a ContentHash, ItemStats)>,
    ) -> Vec<ItemIndex> {
        let mut writer = self.writer.lock();
        let features = self.features.read();
        let mut encoding: Vec<_> = features.iter().map(|column| column.write()).collect();
        let mut indices = Vec::new();
        for (item, content, stats) in items {
            let index = self.ids.insert(&item.item_id);
            while self.stats.count() <= index as usize {
                self.stats.push(StatsCell::default());
            }
            self.set_stats(index, stats);
            let row = ItemRow {
                content: self.encoded.content_of(item, content),
                created_at: item.created_at,
                categories: self.category_list(&item.categories),
                availability: match item.available {
                    true => Availability::Available,
                    false => Availability::Unavailable,
                },
            };
            encoding.iter_mut().for_each(|column| column.put(index, item));
            writer.columns.put(index, item);
            self.set_row(&mut writer, index, row);
            indices.push(index);
        }
        encoding.into_iter().for_each(crate::features::Writing::publish);
        self.publish(&mut writer);
        indices
    }

    /// Removes items. The indices of those that there ever were.
    pub fn remove<'a>(&self, ids: impl IntoIterator<Item = &'a ItemId>) -> Vec<ItemIndex> {
        let mut writer = self.writer.lock();
        let mut removed = Vec::new();
        for id in ids {
            let Some(index) = self.ids.reader().get(id.as_str()) else { continue };
            let row = ItemRow { availability: Availability::Removed, ..writer.row(index) };
            self.set_row(&mut writer, index, ItemRow { content: None, ..row });
            removed.push(index);
        }
        self.publish(&mut writer);
        removed
    }

    /// Indices of ids, same order, given now to those never met: these count as removed until they
    /// are written. For what refers to items and is loaded itself, not for what callers send.
    #[must_use]
    pub fn indices_or_new<'a>(&self, ids: impl IntoIterator<Item = &'a ItemId>) -> Vec<ItemIndex> {
        let _writer = self.writer.lock();
        ids.into_iter().map(|id| self.ids.insert(id)).collect()
    }

    /// Replaces an item's statistics.
    pub fn set_stats(&self, index: ItemIndex, stats: ItemStats) {
        if let Some(cell) = self.stats.get(index as usize) {
            cell.set(stats);
        }
    }

    /// Says that the popularity lists have these items now.
    pub fn listed(&self, items: &[ItemIndex]) {
        items.iter().for_each(|item| {
            self.unlisted.remove(item);
        });
    }

    /// Reads items again, and applies what the store has of them. Callers take turns.
    ///
    /// # Errors
    /// When the store cannot be read; then nothing has changed.
    pub async fn refresh(
        &self,
        store: &dyn Store,
        ids: &[ItemId],
    ) -> Result<RefreshedItems, StoreError> {
        let _turn = self.refreshing.lock().await;
        let items = store.items(ids).await?;
        let stats = store.item_stats(ids).await?;
        let there = items.iter().zip(stats).filter_map(|(item, stats)| {
            let stored = item.as_ref()?;
            Some((&stored.item, &stored.content, stats))
        });
        let written = self.put(there);
        let gone = ids.iter().zip(&items).filter(|(_, item)| item.is_none()).map(|(id, _)| id);
        let removed = self.remove(gone);
        Ok(RefreshedItems { written, removed })
    }

    /// Reads statistics of items again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refresh_stats(&self, store: &dyn Store, ids: &[ItemId]) -> Result<(), StoreError> {
        let stats = store.item_stats(ids).await?;
        let reader = self.ids.reader();
        for (id, stats) in ids.iter().zip(stats) {
            if let Some(index) = reader.get(id.as_str()) {
                self.set_stats(index, stats);
            }
        }
        Ok(())
    }

    /// Reads the whole catalog.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(
        &self,
        store: &dyn Store,
        progress: &(dyn Fn(TableLoadProgress) + Send + Sync),
    ) -> Result<(), StoreError> {
        let total = store.item_count().await?;
        let (mut after, mut items) = (None::<ItemId>, 0);
        loop {
            let page = store.scan_items(after.as_ref(), CHUNK).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.item.item_id.clone());
            let ids: Vec<ItemId> = page.iter().map(|stored| stored.item.item_id.clone()).collect();
            let stats = store.item_stats(&ids).await?;
            let rows = page.iter().zip(stats);
            self.put(rows.map(|(stored, stats)| (&stored.item, &stored.content, stats)));
            items += page.len() as u64;
            progress(TableLoadProgress { items, total: total.max(items) });
        }
    }

    fn category_list(&self, names: &[String]) -> u32 {
        let mut list: Vec<CategoryIndex> = Vec::with_capacity(names.len());
        for name in names {
            let number = self.category_names.number(name);
            if !list.contains(&number) {
                list.push(number);
            }
        }
        self.category_lists.number(&list.into_boxed_slice())
    }

    fn set_row(&self, writer: &mut Writer, index: ItemIndex, row: ItemRow) {
        let before = writer.row(index);
        let there = |row: &ItemRow| row.availability != Availability::Removed;
        match (there(&before), there(&row)) {
            (false, true) => self.present.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.present.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        if before.content != row.content || there(&before) != there(&row) {
            writer.epoch += 1;
        }
        let shown = row.availability == Availability::Available;
        let age = row.created_at.filter(|_| shown);
        if let Some(old) = before.created_at.filter(|old| Some(*old) != age) {
            self.by_creation.remove(&Reverse((old, index)));
        }
        if let Some(at) = age {
            self.by_creation.insert(Reverse((at, index)));
        }
        if shown {
            self.unlisted.insert(index);
        } else {
            self.unlisted.remove(&index);
        }
        writer.set(index, row);
    }

    fn publish(&self, writer: &mut Writer) {
        let (pages, available) = (writer.rows.publish(), writer.available.publish());
        let columns = writer.columns.publish();
        self.rows.store(Arc::new(Rows { pages, available, columns, epoch: writer.epoch }));
    }

    /// What is to be kept of the columns, for the items below `end`.
    pub(crate) fn saved_columns(&self, end: ItemIndex) -> SavedColumns {
        self.writer.lock().columns.saved(end)
    }

    /// Gives indices and rows, in order, to what was kept of a table, with its columns.
    pub(crate) fn restore_rows(
        &self,
        ids: &[ItemId],
        rows: &[ItemRow],
        stats: impl Iterator<Item = ItemStats>,
        columns: ColumnsMut,
    ) {
        let mut writer = self.writer.lock();
        writer.columns = columns;
        self.ids.reserve(ids.len());
        thread::scope(|scope| {
            scope.spawn(|| self.restore_order(rows));
            for ((id, row), stats) in ids.iter().zip(rows).zip(stats) {
                let index = self.ids.insert(id);
                let cell = StatsCell::default();
                cell.set(stats);
                self.stats.push(cell);
                let there = row.availability != Availability::Removed;
                self.present.fetch_add(usize::from(there), Ordering::Relaxed);
                writer.epoch += u64::from(there || row.content.is_some());
                writer.set(index, *row);
            }
        });
        self.publish(&mut writer);
    }

    /// Lists available items by their time of creation, and as unlisted. In the order of each list: where the last one
    /// was put is known to the processor's caches then.
    fn restore_order(&self, rows: &[ItemRow]) {
        let shown = |(_, row): &(ItemIndex, &ItemRow)| row.availability == Availability::Available;
        let shown = || (0..).zip(rows).filter(shown);
        let mut created: Vec<_> =
            shown().filter_map(|(index, row)| Some(Reverse((row.created_at?, index)))).collect();
        created.sort_unstable();
        created.into_iter().for_each(|entry| {
            self.by_creation.insert(entry);
        });
        shown().for_each(|(index, _)| {
            self.unlisted.insert(index);
        });
    }
}

impl ItemIds for ItemTable {
    fn id(&self, index: ItemIndex) -> Option<&ItemId> {
        self.ids.id(index)
    }

    fn indices(&self, ids: &mut dyn Iterator<Item = &str>, found: &mut Vec<ItemIndex>) {
        let reader = self.ids.reader();
        found.extend(ids.map(|id| reader.get(id).unwrap_or(UNKNOWN_ITEM)));
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
