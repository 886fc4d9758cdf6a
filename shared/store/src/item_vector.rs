//! A vector of an item, for an index that several processes share.

use plugrank_contract::ItemId;

/// A vector of an item, and whether a search of the index finds it.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemVector {
    /// Whose.
    pub id: ItemId,
    /// Its elements, of any length but 0.
    pub vector: Vec<f32>,
    /// Whether searches find it.
    pub available: bool,
}
