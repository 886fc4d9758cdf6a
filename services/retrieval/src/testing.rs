//! What the tests share.

use plugrank_contract::{Item, TimestampMs};

/// An available item.
pub(crate) fn item(id: &str, categories: &[&str], created_at: Option<TimestampMs>) -> Item {
    Item {
        item_id: id.into(),
        title: format!("Title of {id}"),
        text: String::new(),
        categories: categories.iter().map(|&name| name.to_owned()).collect(),
        created_at,
        available: true,
        image_hash: None,
        features: Default::default(),
    }
}
