//! A plain model of a store, and random steps whose results are compared with it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::{ItemStats, Store, keys};
use plugrank_contract::{
    Event, EventType, Feedback, History, HistoryEntry, HistoryLimits, ItemId, TimestampMs, UserId,
    feature::Number,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

/// Histories and statistics in plain maps.
#[derive(Default)]
struct Model {
    seen: BTreeSet<(UserId, String)>,
    /// Per user, item and time.
    entries: HashMap<UserId, BTreeMap<(TimestampMs, ItemId), HistoryEntry>>,
    stats: HashMap<ItemId, ItemStats>,
    /// Per user, request and item: the time of the entry, whether it is clicked, the weight counted.
    exposures: HashMap<(UserId, String, ItemId), (TimestampMs, bool, f32)>,
}

/// Bytes by which one of two like entries is kept.
fn details(entry: &HistoryEntry) -> Vec<u8> {
    let mut bytes = Vec::new();
    keys::push_details(&mut bytes, entry);
    bytes
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
        let entry = HistoryEntry::from_event(event);
        let clicked = entry.clicked;
        let weight = event.event_type.weight;
        let counted = known.map_or(0.0, |(_, _, counted)| counted);
        let most = if weight.abs() > counted.abs() { weight } else { counted };
        let stats = self.stats.entry(event.item_id.clone()).or_default();
        let entries = self.entries.entry(event.user_id.clone()).or_default();
        match known {
            None => {
                stats.impressions += 1;
                stats.clicks += u64::from(clicked);
            }
            Some((at, false, _)) if clicked => {
                stats.clicks += 1;
                if entries.get(&(at, event.item_id.clone())).is_some_and(|entry| !entry.clicked) {
                    entries.remove(&(at, event.item_id.clone()));
                }
            }
            Some((at, known_clicked, counted)) => {
                let told = entries.get_mut(&(at, event.item_id.clone()));
                if let Some(told) =
                    told.filter(|told| most > counted && told.clicked == known_clicked)
                {
                    (told.action, told.value) = (entry.action, entry.value);
                }
                if let Some(key) = key {
                    self.exposures.insert(key, (at, known_clicked, most));
                }
                return true;
            }
        }
        if let Some(key) = key {
            self.exposures.insert(key, (event.timestamp, clicked, most));
        }
        self.put(&event.user_id, &entry);
        true
    }

    fn put(&mut self, user: &UserId, entry: &HistoryEntry) {
        let entries = self.entries.entry(user.clone()).or_default();
        let kept = entries
            .entry((entry.timestamp, entry.item_id.clone()))
            .or_insert_with(|| entry.clone());
        if (entry.clicked, details(entry)) > (kept.clicked, details(kept)) {
            *kept = entry.clone();
        }
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
        for entry in self.entries.get(user).into_iter().flat_map(BTreeMap::values).rev() {
            let left = left.get_mut(&entry.clicked).expect("both kinds");
            if entry.timestamp < before && *left > 0 {
                *left -= 1;
                entries.push(entry.clone());
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
    let purchase = EventType { name: "buy".into(), feedback: Feedback::Positive, weight: 4.0 };
    let kind = prop_oneof![Just(EventType::click()), Just(EventType::impression()), Just(purchase)];
    let value = prop::option::of(-2i64..3);
    let event =
        (0u32..60, (kind, value.clone()), user.clone(), item.clone(), request, time.clone())
            .prop_map(move |(id, (event_type, value), user_id, item_id, request_id, timestamp)| {
                Event {
                    event_id: format!("{run}/{id}"),
                    event_type,
                    user_id,
                    item_id,
                    value: value.map(|value| value as f64),
                    request_id,
                    position: None,
                    surface: None,
                    timestamp,
                }
            });
    let action = prop::option::of("[ab]");
    let row = (user.clone(), item, any::<bool>(), time.clone(), (action, value)).prop_map(
        |(user, item_id, clicked, timestamp, (action, value))| {
            let (action, value) = (action.map(Into::into), value.map(Number::from));
            let entry = HistoryEntry::new(item_id, clicked, timestamp);
            (user, HistoryEntry { action, value, ..entry })
        },
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
