//! What the rules read of candidates.

use plugrank_contract::{ItemIndex, TimestampMs, reranking::RankFacts};
use plugrank_items::View;

/// Categories and ages of the candidates, by their place in the order.
#[derive(Debug)]
pub enum Facts<'a> {
    /// Nothing is known of them.
    None,
    /// The item table has them.
    Table {
        /// The table.
        view: View<'a>,
        /// Indices of the candidates, in the order.
        indices: Vec<ItemIndex>,
    },
    /// They came with the scores.
    Given {
        /// What came, by the place in the list given.
        facts: &'a RankFacts,
        /// Those places, in the order.
        order: &'a [u32],
    },
}

impl Facts<'_> {
    /// An item's categories, the main one first. The numbers mean the same within one request.
    #[must_use]
    pub fn categories(&self, item: usize) -> &[u32] {
        match self {
            Self::None => &[],
            Self::Table { view, indices } => {
                indices.get(item).map_or(&[], |index| view.categories(*index))
            }
            Self::Given { facts, order } => {
                let place = order.get(item).map(|place| *place as usize);
                place.and_then(|place| facts.categories.get(place)).map_or(&[], Vec::as_slice)
            }
        }
    }

    /// An item's main category.
    #[must_use]
    pub fn main_category(&self, item: usize) -> Option<u32> {
        self.categories(item).first().copied()
    }

    /// When an item entered the catalog.
    #[must_use]
    pub fn created_at(&self, item: usize) -> Option<TimestampMs> {
        match self {
            Self::None => None,
            Self::Table { view, indices } => view.created_at(*indices.get(item)?),
            Self::Given { facts, order } => *facts.created_at.get(*order.get(item)? as usize)?,
        }
    }
}

/// Indices of candidates in an order.
#[must_use]
pub(crate) fn ordered(indices: &[ItemIndex], order: &[u32]) -> Vec<ItemIndex> {
    order.iter().map(|place| indices[*place as usize]).collect()
}
