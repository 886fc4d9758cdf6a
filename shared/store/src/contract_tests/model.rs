//! What a store must hold, as plainly and slowly as it can be said, and random steps compared with it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::{ItemStats, Store};
use plugrank_contract::{
    Event, EventType, History, HistoryEntry, HistoryLimits, ItemId, TimestampMs, UserId,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

/// Histories and statistics in plain maps.
#[derive(Default)]
struct Model {
    seen: BTreeSet<(UserId, String)>,
    /// Per user, item and time: whether clicked.
    entries: HashMap<UserId, BTreeMap<(TimestampMs, ItemId), bool>>,
    stats: HashMap<ItemId, ItemStats>,
    /// Per user, request and item: the time shown, or `None` once clicked.
    exposures: HashMap<(UserId, String, ItemId), Option<TimestampMs>>,
}

impl Model {
    fn append(&mut self, event: &Event) -> bool {
        if !self.seen.insert((event.user_id.clone(), event.event_id.clone())) {
            return false;
        }
        let key = event
            .request_id
            .clone()
            .map(|request| (event.user_id.clone(), request, event.item_id.clone()));
        let known = key.as_ref().and_then(|key| self.exposures.get(key).copied());
        let clicked = event.event_type.is_positive();
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

    fn put(&mut self, user: &UserId, entry: &HistoryEntry) {
        *self
            .entries
            .entry(user.clone())
            .or_default()
            .entry((entry.timestamp, entry.item_id.clone()))
            .or_insert(false) |= entry.clicked;
    }

    fn history(
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

    fn stats(&self, item: &ItemId) -> ItemStats {
        self.stats.get(item).copied().unwrap_or_default()
    }
}

/// What a generated run does next.
#[derive(Clone, Debug)]
enum Step {
    Events(Vec<Event>),
    History(Vec<(UserId, HistoryEntry)>),
    Read { user: UserId, before: i64, clicks: usize, impressions: usize },
}

/// Few users, items, requests and times, so that they meet; now and then far ones.
fn step(run: usize) -> impl Strategy<Value = Step> {
    let user = prop_oneof![4 => Just("u"), 2 => Just("u1"), 1 => Just("")]
        .prop_map(move |user| UserId::from(format!("{run}/{user}")));
    let item = prop_oneof![6 => "[12]{1,2}", 1 => ".{0,5}"].prop_map(ItemId::from);
    let time = prop_oneof![8 => -4i64..8, 1 => any::<i64>()];
    let request = prop_oneof![3 => Just(None), 5 => "[ab]".prop_map(Some)];
    let event = (0u32..60, any::<bool>(), user.clone(), item.clone(), request, time.clone())
        .prop_map(move |(id, clicked, user_id, item_id, request_id, timestamp)| Event {
            event_id: format!("{run}/{id}"),
            event_type: if clicked { EventType::click() } else { EventType::impression() },
            user_id,
            item_id,
            value: None,
            request_id,
            position: None,
            surface: None,
            timestamp,
        });
    let row = (user.clone(), item, any::<bool>(), time.clone()).prop_map(
        |(user, item_id, clicked, timestamp)| (user, HistoryEntry { item_id, clicked, timestamp }),
    );
    prop_oneof![
        3 => prop::collection::vec(event, 1..6).prop_map(Step::Events),
        1 => prop::collection::vec(row, 1..6).prop_map(Step::History),
        4 => (user, time, 0usize..8, 0usize..8).prop_map(|(user, before, clicks, impressions)| {
            Step::Read { user, before, clicks, impressions }
        }),
    ]
}

/// Random steps, each answer compared with the model's. Every run has users and event ids of its
/// own in one store; items, and so statistics, are shared by all.
pub async fn history_agrees_with_the_model(store: Arc<dyn Store>) {
    let mut runner = TestRunner::default();
    let mut model = Model::default();
    let mut items = HashSet::new();
    for run in 0..40 {
        let steps =
            prop::collection::vec(step(run), 1..40).new_tree(&mut runner).expect("steps").current();
        for (at, one) in steps.iter().enumerate() {
            match one.clone() {
                Step::Events(events) => {
                    items.extend(events.iter().map(|event| event.item_id.clone()));
                    let expected: Vec<_> = events.iter().map(|e| model.append(e)).collect();
                    let new = store.append_events(events).await.unwrap();
                    assert_eq!(new, expected, "step {at} of {steps:#?}");
                }
                Step::History(rows) => {
                    rows.iter().for_each(|(user, entry)| model.put(user, entry));
                    store.put_history(rows).await.unwrap();
                }
                Step::Read { user, before, clicks, impressions } => {
                    let expected = model.history(&user, before, clicks, impressions);
                    let found = store.history(&user, before, clicks, impressions).await.unwrap();
                    assert_eq!(found, expected, "step {at} of {steps:#?}");
                    let limits = HistoryLimits { clicks, impressions };
                    let view = store.user_view(&user, before, limits).await.unwrap();
                    let recent: Vec<_> = view.recent(limits).cloned().collect();
                    assert_eq!(recent, expected.entries, "view, step {at} of {steps:#?}");
                    assert!(view.limits.cover(limits));
                    assert!(view.newest().is_none_or(|newest| newest < before));
                }
            }
        }
    }
    let items: Vec<ItemId> = items.into_iter().collect();
    let expected: Vec<_> = items.iter().map(|item| model.stats(item)).collect();
    let found = store.item_stats(&items).await.unwrap();
    let counts = |stats: &ItemStats| (stats.impressions, stats.clicks);
    assert_eq!(
        found.iter().map(counts).collect::<Vec<_>>(),
        expected.iter().map(counts).collect::<Vec<_>>()
    );
}
