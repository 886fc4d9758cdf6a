//! A table as a snapshot keeps it.

use plugrank_contract::{ItemId, ItemIndex};
use plugrank_store::{Decayed, ItemStats};
use serde::{Deserialize, Serialize};

use crate::{
    ItemTable, ItemsOptions,
    columns::SavedColumns,
    row::{CategoryIndex, ItemRow},
};

/// What is kept of a table. Indices are kept too, as other files of the snapshot refer to them.
///
/// ```
/// use plugrank_contract::Item;
/// use plugrank_items::ItemTable;
/// use plugrank_store::{ItemStats, content_hash};
///
/// let table = ItemTable::new();
/// # let lamp: Item = serde_json::from_value(serde_json::json!({"item_id": "lamp", "title": "Lamp", "text": "",
/// #     "categories": [], "created_at": null, "available": true, "image_hash": null, "features": {}})).unwrap();
/// let index = table.put([(&lamp, &content_hash(&lamp), ItemStats::default())])[0];
/// let saved = table.saved();
/// assert_eq!(saved.len(), 1);
/// let next_start = ItemTable::new();
/// assert!(next_start.restore(&saved));
/// assert_eq!(next_start.view().index_of("lamp"), Some(index), "indices stay the same");
/// ```
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedTable {
    ids: Vec<ItemId>,
    rows: Vec<ItemRow>,
    /// Impressions and clicks.
    stats: Vec<(u64, u64, f64, i64)>,
    category_names: Vec<String>,
    category_lists: Vec<Box<[CategoryIndex]>>,
    columns: SavedColumns,
}

impl SavedTable {
    /// Which columns were kept.
    #[must_use]
    pub fn options(&self) -> &ItemsOptions {
        &self.columns.options
    }

    /// Ids in it, those of removed items included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it holds no id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl ItemTable {
    /// What is to be kept of it.
    #[must_use]
    pub fn saved(&self) -> SavedTable {
        let view = self.view();
        let all = 0..view.index_end();
        let stats = |index: ItemIndex| {
            let stats = view.stats(index);
            let Decayed { value, at } = stats.popularity;
            (stats.impressions, stats.clicks, value, at)
        };
        SavedTable {
            ids: all.clone().filter_map(|index| view.id(index).cloned()).collect(),
            rows: all.clone().map(|index| *view.row(index)).collect(),
            columns: self.saved_columns(all.end),
            stats: all.map(stats).collect(),
            category_names: self.category_names.iter().cloned().collect(),
            category_lists: self.category_lists.iter().cloned().collect(),
        }
    }

    /// Fills this table, which must be empty, with what was kept of another. Answers whether the parts
    /// of it fit together; if not, the table is of no use.
    #[must_use]
    pub fn restore(&self, saved: &SavedTable) -> bool {
        let SavedTable { ids, rows, stats, category_names, category_lists, columns } = saved;
        let columns = match columns.restored(ids.len()) {
            Some(columns) if *columns.options() == self.options() => columns,
            _ => return false,
        };
        category_names.iter().for_each(|name| {
            self.category_names.number(name);
        });
        category_lists.iter().for_each(|list| {
            self.category_lists.number(list);
        });
        // Nothing may be there twice, as its place is what stands for it.
        let fits = self.is_empty()
            && ids.len() == rows.len()
            && ids.len() == stats.len()
            && self.category_names.len() == category_names.len()
            && self.category_lists.len() == category_lists.len()
            && rows.iter().all(|row| (row.categories as usize) < category_lists.len().max(1))
            && category_lists.iter().flatten().all(|name| (*name as usize) < category_names.len());
        if !fits {
            return false;
        }
        let stats = stats.iter().map(|(impressions, clicks, value, at)| {
            let popularity = Decayed { value: *value, at: *at };
            ItemStats { impressions: *impressions, clicks: *clicks, popularity }
        });
        self.restore_rows(ids, rows, stats, columns);
        self.ids.len() == ids.len()
    }
}

#[cfg(test)]
mod tests {
    use plugrank_store::ItemStats;

    use super::*;
    use crate::testing::put;

    #[test]
    fn a_saved_table_is_restored_unchanged() {
        let table = ItemTable::new();
        for (id, at) in [("a", Some(10)), ("b", Some(30)), ("c", None)] {
            let index = put(&table, id, &["x", id], at);
            table.set_stats(index, ItemStats { impressions: 7, clicks: 3, ..ItemStats::default() });
        }
        table.remove([&"b".into()]);
        let restored = ItemTable::new();
        assert!(restored.restore(&table.saved()));
        let (old, view) = (table.view(), restored.view());
        assert_eq!((restored.len(), view.index_of("c"), view.index_of("b")), (2, Some(2), None));
        assert_eq!(view.stats(0), ItemStats { impressions: 7, clicks: 3, ..ItemStats::default() });
        assert_eq!((view.content(0), view.content(1)), (old.content(0), None));
        assert_eq!(view.newest(100).collect::<Vec<_>>(), [0]);
        assert_eq!(view.unlisted().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(view.categories(2), old.categories(2));
        assert_eq!(put(&restored, "b", &["x"], Some(5)), 1, "an id keeps its index");

        assert!(!restored.restore(&table.saved()), "a table that is not empty");
        let mut odd = table.saved();
        odd.ids[1] = "a".into();
        assert!(!ItemTable::new().restore(&odd), "an id twice");
        let mut odd = table.saved();
        odd.category_names.pop();
        assert!(!ItemTable::new().restore(&odd), "a category without a name");
    }
}
