//! Items for tests.

use std::collections::BTreeMap;

use plugrank_contract::{Item, ItemIndex, TimestampMs};
use plugrank_store::{ItemStats, content_hash};

use crate::ItemTable;

pub(crate) fn item(id: &str, categories: &[&str], created_at: Option<TimestampMs>) -> Item {
    Item {
        item_id: id.into(),
        title: format!("item {id}"),
        text: String::new(),
        categories: categories.iter().map(|name| (*name).to_owned()).collect(),
        created_at,
        available: true,
        image_hash: None,
        features: BTreeMap::new(),
    }
}

pub(crate) fn write(table: &ItemTable, item: &Item) -> ItemIndex {
    table.put([(item, &content_hash(item), ItemStats::default())])[0]
}

pub(crate) fn put(
    table: &ItemTable,
    id: &str,
    categories: &[&str],
    created_at: Option<TimestampMs>,
) -> ItemIndex {
    write(table, &item(id, categories, created_at))
}
