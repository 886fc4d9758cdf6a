//! What an item is.

use serde::{Deserialize, Serialize};

use crate::{FeatureValues, ItemId, TimestampMs};

/// An item of the catalog, without its image bytes.
///
/// ```
/// use plugrank_contract::{FeatureValues, Item};
///
/// let item = Item {
///     item_id: "lamp".into(),
///     title: "Desk lamp".to_owned(),
///     text: "Warm light".to_owned(),
///     categories: vec!["lighting".to_owned()],
///     created_at: None,
///     available: true,
///     image_hash: None,
///     features: FeatureValues::from([("price".to_owned(), 20.into())]),
/// };
/// assert_eq!(item.encoder_text(), "Desk lamp\nWarm light");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Identifier.
    pub item_id: ItemId,
    /// Short name, shown to people.
    pub title: String,
    /// Description; may be empty.
    pub text: String,
    /// Categories, the main one first; may be empty.
    pub categories: Vec<String>,
    /// When the item entered the catalog.
    pub created_at: Option<TimestampMs>,
    /// Whether it may be shown.
    pub available: bool,
    /// Hash of the image's bytes, when it has an image (the bytes are kept apart).
    pub image_hash: Option<[u8; 32]>,
    /// Further columns of the data set, by name.
    pub features: FeatureValues,
}

/// BLAKE3 hash of what the encoders and the feature schema read of an item: its content version.
pub type ContentHash = [u8; 32];

/// An item together with the version of its content.
///
/// ```
/// use plugrank_contract::ItemKey;
///
/// let before = ItemKey { item_id: "lamp".into(), content: [1; 32] };
/// let after = ItemKey { content: [2; 32], ..before.clone() };
/// assert_ne!(before, after, "a record of the content before is not that of the item now");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ItemKey {
    /// Identifier.
    pub item_id: ItemId,
    /// Version of the content.
    pub content: ContentHash,
}

impl Item {
    /// What the text encoder reads: title, a line break, text. Empty when both are.
    #[must_use]
    pub fn encoder_text(&self) -> String {
        match (self.title.trim(), self.text.trim()) {
            (title, "") => title.to_owned(),
            ("", text) => text.to_owned(),
            (title, text) => format!("{title}\n{text}"),
        }
    }
}
