//! What an item is.

use serde::{Deserialize, Serialize};

use crate::{FeatureValues, ItemId, TimestampMs};

/// An item of the catalog, without its image bytes.
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
