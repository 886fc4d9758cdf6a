//! What the table holds of every item.

use std::num::NonZeroU64;

use plugrank_contract::{TimestampMs, item::ContentHash};
use serde::{Deserialize, Serialize};

/// Stands for a category's name, in the order in which names were first met.
pub type CategoryIndex = u32;

/// Stands for a content hash: its first bytes. `None` where nothing is known about it.
pub type Content = Option<NonZeroU64>;

/// What stands for a content hash.
#[must_use]
pub fn content_of(hash: &ContentHash) -> Content {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    // One hash in 2^64 begins with zeros; it may be confused with its neighbour.
    Some(NonZeroU64::new(u64::from_le_bytes([a, b, c, d, e, f, g, h])).unwrap_or(NonZeroU64::MIN))
}

/// Whether an item can be shown.
///
/// [`View`](crate::View) has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Availability {
    /// Not in the catalog, or no longer.
    #[default]
    Removed,
    /// There, but not to be shown.
    Unavailable,
    /// There and to be shown.
    Available,
}

/// What the table holds of every item.
///
/// [`View`](crate::View) has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRow {
    /// Version of its content.
    pub content: Content,
    /// When it entered the catalog.
    pub created_at: Option<TimestampMs>,
    /// Which of the distinct lists of categories.
    pub(crate) categories: u32,
    /// Whether it can be shown.
    pub availability: Availability,
}

/// Rows of a page.
pub(crate) const PAGE_ROWS: usize = 512;

/// A page of rows.
#[derive(Clone, Debug)]
pub(crate) struct RowPage(pub(crate) Box<[ItemRow]>);

impl Default for RowPage {
    fn default() -> Self {
        Self(vec![ItemRow::default(); PAGE_ROWS].into())
    }
}
