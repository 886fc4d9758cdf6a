//! The table as one reader sees it.

use std::{cmp::Reverse, sync::Arc};

use plugrank_contract::{ItemId, ItemIndex, TimestampMs};
use plugrank_store::ItemStats;

use crate::{
    ItemTable,
    row::{Availability, CategoryIndex, Content, ItemRow, PAGE_ROWS},
    table::Rows,
};

/// The table as it was when the view was taken: its rows do not change. Statistics, and the order
/// by age, are those of now.
///
/// ```
/// use plugrank_contract::Item;
/// use plugrank_items::{Availability, ItemTable, content_of};
/// use plugrank_store::{ItemStats, content_hash};
///
/// let table = ItemTable::new();
/// # let lamp: Item = serde_json::from_value(serde_json::json!({"item_id": "lamp", "title": "Lamp", "text": "",
/// #     "categories": [], "created_at": 5, "available": true, "image_hash": null, "features": {"price": 20}})).unwrap();
/// let index = table.put([(&lamp, &content_hash(&lamp), ItemStats::default())])[0];
/// let view = table.view();
/// let row = view.row(index);
/// assert_eq!((row.availability, row.created_at), (Availability::Available, Some(5)));
/// assert_eq!(row.content, content_of(&content_hash(&lamp)));
/// assert_eq!(view.newest(9).collect::<Vec<_>>(), [index]);
/// assert_eq!(view.number(view.column_place("price").unwrap(), index), 20.0);
/// // An index that was never given counts as a removed item.
/// assert_eq!(view.availability(99), Availability::Removed);
/// ```
#[derive(Debug)]
pub struct View<'a> {
    pub(crate) table: &'a ItemTable,
    pub(crate) rows: Arc<Rows>,
}

const NO_ROW: ItemRow =
    ItemRow { content: None, created_at: None, categories: 0, availability: Availability::Removed };

impl ItemTable {
    /// The table as it is now. Take one a request.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { table: self, rows: self.rows.load_full() }
    }
}

impl<'a> View<'a> {
    /// An item's row; that of a removed item for an index that was never given.
    #[must_use]
    pub fn row(&self, index: ItemIndex) -> &ItemRow {
        let page = self.rows.pages.get(index as usize / PAGE_ROWS);
        page.map_or(&NO_ROW, |page| &page.0[index as usize % PAGE_ROWS])
    }

    /// An item's index; `None` when there is no such item, or none any more.
    #[must_use]
    pub fn index_of(&self, id: &str) -> Option<ItemIndex> {
        let index = self.table.ids.reader().get(id)?;
        (self.availability(index) != Availability::Removed).then_some(index)
    }

    /// An item's id, also of one that was removed.
    #[must_use]
    pub fn id(&self, index: ItemIndex) -> Option<&'a ItemId> {
        self.table.ids.id(index)
    }

    /// Ids met so far; every index is below it.
    #[must_use]
    pub fn index_end(&self) -> ItemIndex {
        self.table.ids.len() as ItemIndex
    }

    /// Whether an item can be shown.
    #[must_use]
    pub fn availability(&self, index: ItemIndex) -> Availability {
        self.row(index).availability
    }

    /// Whether an item is there and to be shown. Cheaper than reading its row.
    #[must_use]
    pub fn available(&self, index: ItemIndex) -> bool {
        self.rows.available.get(index)
    }

    /// Version of an item's content.
    #[must_use]
    pub fn content(&self, index: ItemIndex) -> Content {
        self.row(index).content
    }

    /// The row of an item that is there.
    fn present(&self, index: ItemIndex) -> Option<&ItemRow> {
        Some(self.row(index)).filter(|row| row.availability != Availability::Removed)
    }

    /// When an item entered the catalog; nothing for one that is not there.
    #[must_use]
    pub fn created_at(&self, index: ItemIndex) -> Option<TimestampMs> {
        self.present(index)?.created_at
    }

    /// An item's categories, the main one first; none for an item that is not there.
    #[must_use]
    pub fn categories(&self, index: ItemIndex) -> &'a [CategoryIndex] {
        let list = self.present(index).map(|row| row.categories);
        list.and_then(|list| self.table.category_lists.value(list)).map_or(&[], |list| list)
    }

    /// A category's name.
    #[must_use]
    pub fn category_name(&self, category: CategoryIndex) -> Option<&'a str> {
        self.table.category_names.value(category).map(String::as_str)
    }

    /// Categories met so far; every [`CategoryIndex`] is below it.
    #[must_use]
    pub fn category_end(&self) -> CategoryIndex {
        self.table.category_names.len() as CategoryIndex
    }

    /// Impressions and clicks of an item.
    #[must_use]
    pub fn stats(&self, index: ItemIndex) -> ItemStats {
        self.table
            .stats
            .get(index as usize)
            .map(crate::stats_cell::StatsCell::get)
            .unwrap_or_default()
    }

    /// Available items created at `as_of` or before, newest first.
    pub fn newest(&self, as_of: TimestampMs) -> impl Iterator<Item = ItemIndex> {
        let until = Reverse((as_of, ItemIndex::MAX));
        self.table.by_creation.range(until..).map(|entry| entry.value().0.1)
    }

    /// Available items that the popularity lists may not have yet.
    pub fn unlisted(&self) -> impl Iterator<Item = ItemIndex> {
        let items = self.table.unlisted.iter().map(|entry| *entry.value());
        items.filter(|index| self.available(*index))
    }

    /// Place of a column by its name, which never changes; `None` before an item has such a feature.
    #[must_use]
    pub fn column_place(&self, name: &str) -> Option<usize> {
        self.rows.columns.iter().position(|column| &*column.name == name)
    }

    /// The single number that an item has in a column; NaN where it has none.
    #[must_use]
    pub fn number(&self, column: usize, index: ItemIndex) -> f32 {
        self.rows.columns.get(column).map_or(f32::NAN, |column| column.number(index))
    }

    /// Whether an item has a value in a column.
    #[must_use]
    pub fn has_value(&self, column: usize, index: ItemIndex) -> bool {
        self.rows.columns.get(column).is_some_and(|column| column.has_value(index))
    }

    /// Grows when an item comes, goes or changes its content.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.rows.epoch
    }
}
