//! What a user was shown again and again and did not click: section `[retrieval.shown_too_often]`.

use std::collections::HashMap;

use garde::Validate;
use plugrank_contract::{HistoryLimits, ItemIds, ItemIndex, TimestampMs, UNKNOWN_ITEM, UserRead};
use plugrank_items::ItemTable;
use plugrank_settings::rules::finite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::index_set::IndexSet;

/// Items that a user was shown again and again and did not click.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ShownTooOftenOptions {
    /// After so many impressions without a click an item is no candidate; 0 turns it off.
    #[garde(range(min = 0, max = 10_000))]
    pub impressions: u32,
    /// Impressions and clicks of so many hours before the request count.
    #[garde(range(min = 0.01, max = 87_600.0), custom(finite))]
    pub hours: f64,
    /// Latest impressions read of a user.
    #[garde(range(min = 1, max = 100_000))]
    pub read: usize,
}

impl Default for ShownTooOftenOptions {
    fn default() -> Self {
        Self { impressions: 0, hours: 24.0, read: 500 }
    }
}

impl ShownTooOftenOptions {
    /// How much of a history it goes by.
    pub(crate) fn limits(&self) -> HistoryLimits {
        let read = if self.impressions == 0 { 0 } else { self.read };
        HistoryLimits { clicks: 0, impressions: read }
    }

    /// The items that were shown too often before a moment.
    pub(crate) fn items(&self, user: &UserRead, as_of: TimestampMs, items: &ItemTable) -> IndexSet {
        let UserRead::Read(user) = user else { return IndexSet::default() };
        if self.impressions == 0 {
            return IndexSet::default();
        }
        let from = as_of.saturating_sub((self.hours * 3_600_000.0) as TimestampMs);
        // Newest first.
        let recent = || user.entries.iter().take_while(|entry| entry.timestamp >= from);
        let mut indices = Vec::with_capacity(user.entries.len());
        items.indices(&mut recent().map(|entry| entry.item_id.as_str()), &mut indices);
        let known = || recent().zip(&indices).filter(|(_, index)| **index != UNKNOWN_ITEM);
        let clicked: IndexSet =
            known().filter(|(entry, _)| entry.clicked).map(|(_, index)| *index).collect();
        let mut shown: HashMap<ItemIndex, u32> = HashMap::with_capacity(indices.len());
        let mut too_often = IndexSet::default();
        for (entry, index) in known() {
            if entry.clicked || clicked.contains(*index) {
                continue;
            }
            let times = shown.entry(*index).or_insert(0);
            *times += 1;
            if *times >= self.impressions {
                too_often.insert(*index);
            }
        }
        too_often
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plugrank_contract::{HistoryEntry, UserView};

    use super::*;
    use crate::testing::{item, table};

    #[test]
    fn an_item_with_too_many_impressions_since_its_last_click_is_shown_too_often() {
        let items = table(["a", "b", "c", "d"].map(|id| item(id, &[], None)));
        let hour = 3_600_000;
        let entry =
            |id: &str, clicked, hours: i64| HistoryEntry::new(id.into(), clicked, hours * hour);
        let entries = [
            entry("a", false, 30),
            entry("b", false, 29),
            entry("gone", false, 29),
            entry("a", false, 28),
            entry("b", true, 28),
            entry("b", false, 27),
            entry("c", false, 27),
            entry("d", false, 26),
            // Longer ago than counts.
            entry("c", false, 1),
            entry("d", true, 1),
        ];
        let limits = HistoryLimits { clicks: 9, impressions: 9 };
        let user = UserView::new("u".into(), None, entries.to_vec(), limits);
        let user = UserRead::Read(Arc::new(user));
        let found = |impressions| {
            let options = ShownTooOftenOptions { impressions, ..ShownTooOftenOptions::default() };
            let found = options.items(&user, 31 * hour, &items);
            [0, 1, 2, 3].map(|index| found.contains(index))
        };
        assert_eq!(found(2), [true, false, false, false]);
        assert_eq!(found(1), [true, false, true, true], "a click resets the count");
        assert_eq!(found(0), [false; 4]);
    }
}
