//! What a store must hold, as plainly and slowly as it can be said.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use plugrank_contract::{Event, EventType, History, HistoryEntry, ItemId, TimestampMs, UserId};
use plugrank_store::ItemStats;

/// Histories and statistics in plain maps.
#[derive(Default)]
pub(crate) struct Model {
    seen: BTreeSet<(UserId, String)>,
    /// Per user, item and time: whether clicked.
    entries: HashMap<UserId, BTreeMap<(TimestampMs, ItemId), bool>>,
    stats: HashMap<ItemId, ItemStats>,
    /// Per user, request and item: the time shown, or `None` once clicked.
    exposures: HashMap<(UserId, String, ItemId), Option<TimestampMs>>,
}

impl Model {
    pub(crate) fn append(&mut self, event: &Event) -> bool {
        if !self.seen.insert((event.user_id.clone(), event.event_id.clone())) {
            return false;
        }
        let key = event
            .request_id
            .clone()
            .map(|request| (event.user_id.clone(), request, event.item_id.clone()));
        let known = key.as_ref().and_then(|key| self.exposures.get(key).copied());
        let clicked = event.event_type == EventType::Click;
        let stats = self.stats.entry(event.item_id.clone()).or_default();
        match known {
            None => {
                stats.impressions += 1;
                stats.clicks += u64::from(clicked);
            }
            Some(Some(shown)) if clicked => {
                stats.clicks += 1;
                let entries = self.entries.entry(event.user_id.clone()).or_default();
                if entries.get(&(shown, event.item_id.clone())) == Some(&false) {
                    entries.remove(&(shown, event.item_id.clone()));
                }
            }
            Some(_) => return true,
        }
        if let Some(key) = key {
            self.exposures.insert(key, (!clicked).then_some(event.timestamp));
        }
        self.put(
            &event.user_id,
            &HistoryEntry { item_id: event.item_id.clone(), clicked, timestamp: event.timestamp },
        );
        true
    }

    pub(crate) fn put(&mut self, user: &UserId, entry: &HistoryEntry) {
        *self
            .entries
            .entry(user.clone())
            .or_default()
            .entry((entry.timestamp, entry.item_id.clone()))
            .or_insert(false) |= entry.clicked;
    }

    pub(crate) fn history(
        &self,
        user: &UserId,
        before: TimestampMs,
        clicks: usize,
        impressions: usize,
    ) -> History {
        let mut left = HashMap::from([(true, clicks), (false, impressions)]);
        let mut entries = Vec::new();
        for ((timestamp, item_id), clicked) in self.entries.get(user).into_iter().flatten().rev() {
            let left = left.get_mut(clicked).expect("both kinds");
            if *timestamp < before && *left > 0 {
                *left -= 1;
                entries.push(HistoryEntry {
                    item_id: item_id.clone(),
                    clicked: *clicked,
                    timestamp: *timestamp,
                });
            }
        }
        History { entries }
    }

    pub(crate) fn stats(&self, item: &ItemId) -> ItemStats {
        self.stats.get(item).copied().unwrap_or_default()
    }
}
