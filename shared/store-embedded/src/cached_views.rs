//! Tests of the cache of user views: hits, and invalidation.

use std::{path::Path, sync::Arc};

use plugrank_contract::{Event, EventType, HistoryEntry, HistoryLimits, User, UserId, UserView};
use plugrank_store::Store;

use crate::{EmbeddedOptions, EmbeddedStore, users};

const LIMITS: HistoryLimits = HistoryLimits { clicks: 9, impressions: 9 };

fn store(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(&path.join("store.redb"), EmbeddedOptions::default()).unwrap()
}

fn click(user: &str, timestamp: i64) -> Event {
    Event {
        event_id: timestamp.to_string(),
        event_type: EventType::click(),
        user_id: user.into(),
        item_id: "i".into(),
        value: None,
        request_id: None,
        position: None,
        surface: None,
        timestamp,
    }
}

async fn view(store: &EmbeddedStore, before: i64, limits: HistoryLimits) -> Arc<UserView> {
    store.user_view(&"u".into(), before, limits).await.unwrap()
}

#[tokio::test]
async fn a_view_is_read_once_until_its_user_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.append_events(vec![click("u", 1)]).await.unwrap();
    let first = view(&store, 2, LIMITS).await;
    // Later times, fewer entries, other users' events: still served from the cache.
    store.append_events(vec![click("v", 1)]).await.unwrap();
    assert!(Arc::ptr_eq(&first, &view(&store, i64::MAX, LIMITS).await));
    let fewer = HistoryLimits { clicks: 1, impressions: 0 };
    assert!(Arc::ptr_eq(&first, &view(&store, 2, fewer).await));

    store.append_events(vec![click("u", 2)]).await.unwrap();
    let second = view(&store, 3, LIMITS).await;
    assert_eq!(second.entries.len(), 2);
    assert!(Arc::ptr_eq(&second, &view(&store, 3, LIMITS).await));
}

#[tokio::test]
async fn reads_of_an_earlier_time_bypass_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    // An event in the future: request times until then are before it.
    store.append_events(vec![click("u", 1), click("u", 1000)]).await.unwrap();
    let past = view(&store, 5, LIMITS).await;
    assert_eq!(past.entries.len(), 1);
    let latest = view(&store, i64::MAX, LIMITS).await;
    assert_eq!(latest.entries.len(), 2);
    assert_eq!(*view(&store, 5, LIMITS).await, *past);
    assert!(Arc::ptr_eq(&latest, &view(&store, i64::MAX, LIMITS).await));
}

#[tokio::test]
async fn cached_limits_grow_to_the_largest_requested() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let clicks = HistoryLimits { clicks: 9, impressions: 0 };
    let impressions = HistoryLimits { clicks: 0, impressions: 9 };
    view(&store, i64::MAX, clicks).await;
    let both = view(&store, i64::MAX, impressions).await;
    assert_eq!(both.limits, LIMITS);
    assert!(Arc::ptr_eq(&both, &view(&store, i64::MAX, clicks).await));
    assert!(Arc::ptr_eq(&both, &view(&store, i64::MAX, LIMITS).await));
}

/// Reads as [`Store::user_view`] does, with `write` between the read and the fill.
async fn overtaken(store: &EmbeddedStore, write: impl Future<Output = ()>) -> Arc<UserView> {
    let user = UserId::from("u");
    let stamp = store.users.stamp(&user);
    let old = store.database.read(|txn| users::view(txn, &user, i64::MAX, LIMITS)).unwrap();
    write.await;
    store.users.fill(stamp, &Arc::new(old));
    view(store, i64::MAX, LIMITS).await
}

#[tokio::test]
async fn a_read_overtaken_by_a_write_is_not_cached() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let seen = overtaken(&store, async {
        store.append_events(vec![click("u", 1)]).await.unwrap();
    });
    assert_eq!(seen.await.entries.len(), 1);
    let seen = overtaken(&store, async {
        let entry = HistoryEntry::new("j".into(), false, 5);
        store.put_history(vec![("u".into(), entry)]).await.unwrap();
    });
    assert_eq!(seen.await.entries.len(), 2);
    let seen = overtaken(&store, async {
        let user = User { user_id: "u".into(), features: Default::default() };
        store.put_users(vec![user]).await.unwrap();
    });
    assert!(seen.await.profile.is_some());
}
