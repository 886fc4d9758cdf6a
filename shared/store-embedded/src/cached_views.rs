//! Tests of when a view of a user comes from memory, and when it must not.

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
    // Other moments, fewer entries, other users' events: nothing that it would not answer.
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
async fn a_moment_in_the_past_takes_nothing_from_memory_and_leaves_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    // Dated ahead: all moments until then are before it.
    store.append_events(vec![click("u", 1), click("u", 1000)]).await.unwrap();
    let past = view(&store, 5, LIMITS).await;
    assert_eq!(past.entries.len(), 1);
    let latest = view(&store, i64::MAX, LIMITS).await;
    assert_eq!(latest.entries.len(), 2);
    assert_eq!(*view(&store, 5, LIMITS).await, *past);
    assert!(Arc::ptr_eq(&latest, &view(&store, i64::MAX, LIMITS).await));
}

#[tokio::test]
async fn limits_grow_until_they_cover_all_who_ask() {
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
async fn what_a_write_overtook_is_not_kept() {
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
