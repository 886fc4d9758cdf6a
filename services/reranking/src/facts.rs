//! What the rules read of an item.

use std::{collections::HashMap, sync::Arc};

use plugrank_contract::TimestampMs;
use plugrank_store::StoredItem;

/// What the rules read of a candidate. Categories are numbered anew for every call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemFacts {
    /// Categories, the main one first.
    pub categories: Vec<u32>,
    /// When it entered the catalog.
    pub created_at: Option<TimestampMs>,
}

impl ItemFacts {
    /// The main category.
    #[must_use]
    pub fn main_category(&self) -> Option<u32> {
        self.categories.first().copied()
    }

    /// Facts of items, same order; those of an unknown item are empty.
    #[must_use]
    pub fn of(items: &[Option<Arc<StoredItem>>]) -> Vec<Self> {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        items
            .iter()
            .map(|stored| {
                let Some(stored) = stored else { return Self::default() };
                let categories = stored.item.categories.iter().map(|name| {
                    let next = numbers.len() as u32;
                    *numbers.entry(name).or_insert(next)
                });
                Self { categories: categories.collect(), created_at: stored.item.created_at }
            })
            .collect()
    }
}
