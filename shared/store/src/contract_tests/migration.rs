//! What a store of the version before this one (schema 3) holds, and what is read of it after its migration.

use std::time::Duration;

use plugrank_contract::{Event, EventType, HistoryEntry, ItemId, User, UserId};

use super::fixtures::{by, entry, new_item};
use crate::{
    NewItem, Store, TimeRange,
    schema3::{LoggedEvent, LoggedType},
};

/// Milliseconds of a day.
pub const DAY: i64 = 86_400_000;
/// The half-life by which the migration weighs events.
pub const HALF_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// What this version writes as that one did: items, a user, loaded histories, neighbours, a document.
pub async fn fill(store: &dyn Store) {
    let image = Some(b"picture".to_vec());
    store.put_items(vec![NewItem { image, ..new_item("1") }, new_item("2")]).await.unwrap();
    let user = User { user_id: "u".into(), features: Default::default() };
    store.put_users(vec![user]).await.unwrap();
    let loaded = vec![
        by("u", entry("1", true, 0)),
        by("u", entry("2", false, 5)),
        by("v", entry("1", true, DAY)),
    ];
    store.put_history(loaded).await.unwrap();
    store.put_neighbours(vec![("1".into(), vec![("2".into(), 0.5)])]).await.unwrap();
    store.put_document("rules", b"{}".to_vec(), 0).await.unwrap();
}

/// The events of its log.
#[must_use]
pub fn events() -> [LoggedEvent; 4] {
    let logged = |id: &str, user: &str, item: &str, click: bool, at: i64| LoggedEvent {
        event_id: id.to_owned(),
        event_type: if click { LoggedType::Click } else { LoggedType::Impression },
        user_id: user.into(),
        item_id: item.into(),
        request_id: Some("r".to_owned()),
        position: Some(4),
        timestamp: at,
    };
    [
        logged("e1", "u", "2", false, 10 * DAY),
        logged("e2", "u", "2", true, 11 * DAY),
        logged("e3", "w", "1", false, 12 * DAY),
        LoggedEvent { request_id: None, position: None, ..logged("e4", "w", "2", true, 13 * DAY) },
    ]
}

fn told(action: &str, entry: HistoryEntry) -> HistoryEntry {
    HistoryEntry { action: Some(action.into()), ..entry }
}

/// A user's history.
pub async fn history(store: &dyn Store, user: &str) -> Vec<HistoryEntry> {
    store.history(&UserId::from(user), i64::MAX, 99, 99).await.unwrap().entries
}

/// All of it is there and goes on: repeats of events are known, and a late click finds its impression.
/// `counts` are the impressions and clicks of the two items.
pub async fn goes_on(store: &dyn Store, counts: [(u64, u64); 2]) {
    let ids = ["1", "2"].map(ItemId::from);
    assert_eq!(store.item_count().await.unwrap(), 2);
    assert_eq!(store.images(&ids).await.unwrap(), [Some(b"picture".to_vec()), None]);
    assert!(store.user(&"u".into()).await.unwrap().is_some());
    let newest = told("click", entry("2", true, 11 * DAY));
    assert_eq!(history(store, "u").await, [newest, entry("2", false, 5), entry("1", true, 0)]);
    assert_eq!(
        history(store, "w").await,
        [
            told("click", entry("2", true, 13 * DAY)),
            told("impression", entry("1", false, 12 * DAY)),
        ]
    );
    assert_eq!(store.neighbours(&ids[..1]).await.unwrap(), [[("2".into(), 0.5)]]);
    assert_eq!(store.document("rules").await.unwrap().unwrap().bytes, b"{}");

    // Two clicks were loaded of the one, a day apart; two are events of the other, two days apart.
    let found = store.item_stats(&ids).await.unwrap();
    let counted: Vec<_> = found.iter().map(|one| (one.impressions, one.clicks)).collect();
    assert_eq!(counted, counts);
    let left = |days: f64| (-days / 30.0).exp2();
    for (one, (value, at)) in
        found.iter().zip([(1.0 + left(1.0), DAY), (1.0 + left(2.0), 13 * DAY)])
    {
        assert_eq!(one.popularity.at, at);
        assert!((one.popularity.value - value).abs() < 1e-9, "{:?}", one.popularity);
    }

    let (mut logged, mut from) = (Vec::new(), None);
    loop {
        let page = store.scan_events(TimeRange::ALL, from, 99).await.unwrap();
        logged.extend(page.entries);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    logged.sort_by_key(|event| event.timestamp);
    let times: Vec<_> = logged.iter().map(|event| event.timestamp / DAY).collect();
    assert_eq!(times, [10, 11, 12, 13]);
    let click = Event {
        event_id: "e2".to_owned(),
        event_type: EventType::click(),
        user_id: "u".into(),
        item_id: "2".into(),
        value: None,
        request_id: Some("r".to_owned()),
        position: Some(5),
        surface: None,
        timestamp: 11 * DAY,
    };
    assert_eq!((&logged[1], logged[3].position), (&click, None));

    let late = Event {
        event_id: "e5".to_owned(),
        item_id: "1".into(),
        user_id: "w".into(),
        timestamp: 14 * DAY,
        ..click.clone()
    };
    assert_eq!(store.append_events(vec![click, late]).await.unwrap(), [false, true]);
    assert_eq!(
        history(store, "w").await,
        [told("click", entry("1", true, 14 * DAY)), told("click", entry("2", true, 13 * DAY))]
    );
    let found = store.item_stats(&ids[..1]).await.unwrap();
    assert_eq!((found[0].impressions, found[0].clicks), (8, 3));
}
