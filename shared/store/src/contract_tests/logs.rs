//! Contract tests of the logs of events and exposures. Each gets a fresh store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plugrank_contract::{
    Event, EventType, ExposedArm, ExposedItem, Exposure, Feedback, HistoryLimits, User, UserId,
};

use super::{
    AnyStore,
    fixtures::{by, entry, event, ids, user},
    reads_and_writes::{history, stats},
};
use crate::{ExposureRow, Retention, Store, TimeRange};

const DAY: i64 = 86_400_000;

/// A served list of a request at a time; change what matters.
pub fn exposure(request: &str, user: &str, timestamp: i64) -> Exposure {
    let item = |id: &str, ctr| ExposedItem {
        item_id: id.into(),
        score: Some(1.5),
        ctr,
        scores: vec![0.25, 0.5],
        propensity: Some(0.125),
        features: BTreeMap::from([("bid".into(), 2.into())]),
    };
    Exposure {
        request_id: request.into(),
        timestamp,
        user_id: user.into(),
        surface: Some("home".into()),
        arms: vec![ExposedArm { layer: "model".into(), experiment: "two".into(), arm: "b".into() }],
        forced_arms: false,
        bundle: Some("v1".into()),
        rung: "full".into(),
        degraded: false,
        late: false,
        failed: false,
        coverage: 1.0,
        features: BTreeMap::from([("hour".into(), 12.into())]),
        tasks: vec!["click".into(), "purchase".into()],
        items: vec![item("i", Some(0.5)), item("j", None)],
        rerank: Vec::new(),
    }
}

/// Gives a user all that a store keeps of one: a profile, a history, fifty events, and the lists they are of.
pub async fn behave(store: &dyn Store, id: &str) {
    let click = |n: i64| Event {
        user_id: id.into(),
        request_id: Some(format!("request-{n}")),
        timestamp: n,
        ..event(&format!("{id}-{n}"), EventType::click())
    };
    store.append_events((0..50).map(click).collect()).await.unwrap();
    let exposure = |n| ExposureRow::from(&exposure(&format!("request-{n}"), id, n));
    store.append_exposures((0..50).map(exposure).collect()).await.unwrap();
    let entry = |n: i64| entry("i", n % 2 == 0, -n);
    store.put_history((1..50).map(|n| by(id, entry(n))).collect()).await.unwrap();
    store.put_users(vec![User { user_id: id.into(), ..user("u") }]).await.unwrap();
}

/// How long things are kept over the year of [`a_day`].
#[must_use]
pub fn kept_over_a_year() -> Retention {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    Retention { events: days(30), exposures: days(10), history: days(60) }
}

/// Events, and served lists, of a day of [`a_day`].
pub const EACH_DAY: i64 = 40;

/// Lets a day of a year pass: as many events and lists as on any other, and what is old is forgotten.
pub async fn a_day(store: &dyn Store, day: i64) {
    let at = |n: i64| day * DAY + n * 1000;
    let id = |n: i64| format!("{day}-{n}");
    let click = |n: i64| Event {
        user_id: format!("u{}", n % 7).as_str().into(),
        item_id: format!("i{}", n % 11).as_str().into(),
        request_id: Some(id(n)),
        timestamp: at(n),
        ..event(&id(n), EventType::click())
    };
    store.append_events((0..EACH_DAY).map(click).collect()).await.unwrap();
    let shown = |n| exposure(&id(n), &format!("u{}", n % 7), at(n));
    let shown = (0..EACH_DAY).map(|n| ExposureRow::from(&shown(n)));
    store.append_exposures(shown.collect()).await.unwrap();
    store.forget_older(&kept_over_a_year(), (day + 1) * DAY).await.unwrap();
}

/// After the year: the logs have what is young enough, and no more.
pub async fn logs_hold_the_retention_period(store: &AnyStore) {
    let events = all_events(store, TimeRange::ALL, 1000).await.len() as i64;
    assert!((29 * EACH_DAY..=31 * EACH_DAY).contains(&events), "{events}");
    let shown = all_exposures(store, TimeRange::ALL).await.len() as i64;
    assert!((9 * EACH_DAY..=11 * EACH_DAY).contains(&shown), "{shown}");
}

async fn all_events(store: &AnyStore, range: TimeRange, limit: usize) -> Vec<Event> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = store.scan_events(range, from, limit).await.unwrap();
        found.extend(page.entries);
        from = page.next;
        if from.is_none() {
            found.sort_by_key(|event| event.timestamp);
            return found;
        }
    }
}

async fn all_exposures(store: &AnyStore, range: TimeRange) -> Vec<Exposure> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = store.scan_exposures(range, from, 3).await.unwrap();
        found.extend(page.entries);
        from = page.next;
        if from.is_none() {
            found.sort_by_key(|exposure| exposure.timestamp);
            return found;
        }
    }
}

/// Whole events of several users come back by time, each once.
pub async fn events_are_read_by_time(store: AnyStore) {
    let named = |n: i64| Event {
        user_id: ["u", "v", "}:w"][n as usize % 3].into(),
        timestamp: n * 10,
        value: Some(9.5),
        surface: Some("cart".into()),
        request_id: (n % 2 == 0).then(|| format!("r{n}")),
        ..event(&n.to_string(), EventType { name: "purchase".into(), ..EventType::click() })
    };
    let events: Vec<Event> = (-3..20).map(named).collect();
    store.append_events(events.iter().rev().cloned().collect()).await.unwrap();
    for limit in [1, 4, 1000] {
        assert_eq!(all_events(&store, TimeRange::ALL, limit).await, events, "{limit}");
    }
    let range = TimeRange { from: 0, to: 50 };
    assert_eq!(all_events(&store, range, 2).await, events[3..8]);
    assert_eq!(all_events(&store, TimeRange { from: 50, to: 0 }, 2).await, []);
}

/// Rows written before lists could be logged in full end where that field begins.
pub async fn exposures_of_the_previous_format_are_read(store: AnyStore) {
    let [old, new] = [exposure("r1", "u", 10), exposure("r2", "u", 20)];
    let new = Exposure { rerank: vec![7; 9], ..new };
    let mut rows = [&old, &new].map(ExposureRow::from);
    let (empty, bytes) = rows[0].bytes.split_last().unwrap();
    assert_eq!(*empty, 0);
    rows[0].bytes = bytes.into();
    store.append_exposures(rows.into()).await.unwrap();
    assert_eq!(all_exposures(&store, TimeRange::ALL).await, [old, new]);
}

pub async fn exposures_are_read_by_time(store: AnyStore) {
    let exposures: Vec<Exposure> =
        (0..10).map(|n| exposure(&format!("r{n}"), ["u", "v"][n as usize % 2], n * 5)).collect();
    let rows: Arc<[ExposureRow]> = exposures.iter().rev().map(ExposureRow::from).collect();
    store.append_exposures(Arc::clone(&rows)).await.unwrap();
    // As after an error that left open whether they were written.
    store.append_exposures(rows).await.unwrap();
    assert_eq!(all_exposures(&store, TimeRange::ALL).await, exposures);
    assert_eq!(all_exposures(&store, TimeRange { from: 5, to: 15 }).await, exposures[1..3]);
}

/// An impression counts for popularity with its strongest event, and all counts halve with time.
pub async fn popularity_weighs_by_type_and_decays(store: AnyStore) {
    let of_type = |id: &str, request: &str, weight: f32, timestamp| Event {
        request_id: Some(request.into()),
        timestamp,
        ..event(id, EventType { name: "x".into(), feedback: Feedback::Positive, weight })
    };
    store.append_events(vec![of_type("1", "a", 1.0, 0), of_type("2", "a", 4.0, 0)]).await.unwrap();
    store.append_events(vec![of_type("3", "a", 1.0, 0), of_type("3", "a", 9.0, 0)]).await.unwrap();
    // The default half-life of both stores.
    let half_life = Duration::from_millis(30 * DAY as u64);
    let popularity = async || store.item_stats(&ids(&["i"])).await.unwrap()[0].popularity;
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}");
    near(popularity().await.value_at(0, half_life), 4.0);
    store.append_events(vec![of_type("4", "b", 2.0, 30 * DAY)]).await.unwrap();
    near(popularity().await.value_at(30 * DAY, half_life), 4.0);
    // Late, and so already half.
    store.append_events(vec![of_type("5", "c", 2.0, 0)]).await.unwrap();
    near(popularity().await.value_at(30 * DAY, half_life), 5.0);
    let hide = EventType { name: "hide".into(), feedback: Feedback::Negative, weight: -1.0 };
    let hide = Event { request_id: None, timestamp: 30 * DAY, ..event("6", hide) };
    store.append_events(vec![hide]).await.unwrap();
    near(popularity().await.value_at(30 * DAY, half_life), 4.0);
    assert_eq!(stats(&store, "i").await, (4, 3));
}

/// Expired events are deleted, with the ids that identified repeats; recent ones stay.
pub async fn expired_events_are_deleted(store: AnyStore) {
    let at = |id: &str, day: i64| Event {
        timestamp: day * DAY,
        request_id: Some(id.to_owned()),
        ..event(id, EventType::click())
    };
    store.append_events(vec![at("old", 0), at("young", 100)]).await.unwrap();
    let shown = [exposure("old", "u", 0), exposure("young", "u", 100 * DAY)];
    store.append_exposures(shown.iter().map(ExposureRow::from).collect()).await.unwrap();
    store
        .put_history(vec![
            by("v", entry("a", false, 0)),
            by("v", entry("b", true, 100 * DAY)),
            by("w", entry("c", true, 0)),
        ])
        .await
        .unwrap();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = Retention { events: days(30), exposures: days(30), history: days(30) };
    let limits = HistoryLimits { clicks: 9, impressions: 9 };
    store.user_view(&"w".into(), i64::MAX, limits).await.unwrap();
    assert_eq!(store.forget_older(&retention, 110 * DAY).await.unwrap(), 5);
    assert_eq!(all_events(&store, TimeRange::ALL, 9).await, [at("young", 100)]);
    assert_eq!(all_exposures(&store, TimeRange::ALL).await, shown[1..]);
    assert_eq!(history(&store, "u").await, [("i".into(), true, 100 * DAY)]);
    assert_eq!(history(&store, "v").await, [("b".into(), true, 100 * DAY)]);
    let view = store.user_view(&"w".into(), i64::MAX, limits).await.unwrap();
    assert!(view.entries.is_empty(), "{view:?}");
    assert_eq!(store.forget_older(&retention, 110 * DAY).await.unwrap(), 0);
    // Its id is unknown by now.
    let again = store.append_events(vec![at("old", 0), at("young", 100)]).await.unwrap();
    assert_eq!(again, [true, false]);
}

/// Nothing of a deleted user is read any more, and all of the others.
pub async fn a_deleted_user_leaves_no_data(store: AnyStore) {
    let users = ["u", "uu", "", "v"];
    for id in users {
        let click = Event { user_id: id.into(), ..event("1", EventType::click()) };
        store.append_events(vec![click]).await.unwrap();
        let shown = ExposureRow::from(&exposure("r", id, 100));
        store.append_exposures([shown].into()).await.unwrap();
        store.put_history(vec![by(id, entry("old", false, 1))]).await.unwrap();
        store.put_users(vec![user(id)]).await.unwrap();
    }
    let limits = HistoryLimits { clicks: 9, impressions: 9 };
    store.user_view(&"u".into(), i64::MAX, limits).await.unwrap();
    store.delete_user(&"u".into()).await.unwrap();
    store.delete_user(&"nobody".into()).await.unwrap();
    let of_users = |ids: Vec<UserId>| {
        let mut ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.sort();
        ids
    };
    let events = all_events(&store, TimeRange::ALL, 9).await;
    assert_eq!(of_users(events.into_iter().map(|event| event.user_id).collect()), ["", "uu", "v"]);
    let exposures = all_exposures(&store, TimeRange::ALL).await;
    let exposed = exposures.into_iter().map(|exposure| exposure.user_id).collect();
    assert_eq!(of_users(exposed), ["", "uu", "v"]);
    assert_eq!(history(&store, "u").await, []);
    assert_eq!(history(&store, "uu").await.len(), 2);
    assert_eq!(store.user(&"u".into()).await.unwrap(), None);
    assert!(store.user(&"v".into()).await.unwrap().is_some());
    let view = store.user_view(&"u".into(), i64::MAX, limits).await.unwrap();
    assert!(view.entries.is_empty() && view.profile.is_none());
    // A click that the same user sends again is new, and its impression is not known any more.
    let again = event("1", EventType::click());
    assert_eq!(store.append_events(vec![again]).await.unwrap(), [true]);
}

/// Fields change and the image stays.
pub async fn an_update_keeps_the_image(store: AnyStore) {
    let image = Some(b"image".to_vec());
    let item = super::fixtures::item("a");
    store.put_items(vec![crate::NewItem { item, image: image.clone() }]).await.unwrap();
    let before = store.items(&ids(&["a"])).await.unwrap()[0].clone().unwrap();
    let mut changed = before.item.clone();
    changed.available = false;
    changed.features.remove("price");
    store.update_items(vec![changed.clone()]).await.unwrap();
    let after = store.items(&ids(&["a"])).await.unwrap()[0].clone().unwrap();
    assert_eq!(after.item, changed);
    assert_eq!(after.content, crate::content_hash(&changed));
    assert_eq!(store.images(&ids(&["a"])).await.unwrap(), [image]);
}

/// Which items there are.
pub async fn known_items_are_reported(store: AnyStore) {
    store.put_items(vec![super::fixtures::new_item("a")]).await.unwrap();
    assert_eq!(store.has_items(&ids(&["b", "a", "b"])).await.unwrap(), [false, true, false]);
}
