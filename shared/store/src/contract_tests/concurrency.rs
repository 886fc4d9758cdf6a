//! Contract tests with concurrent callers. Each gets a fresh store.

use std::sync::Arc;

use crate::NewItem;
use plugrank_contract::{Event, EventType, HistoryLimits, Item};

use super::{
    AnyStore,
    fixtures::{event, ids, item, user},
    reads_and_writes::{history, stats},
};

pub async fn concurrent_events_are_all_counted(store: AnyStore) {
    let tasks: Vec<_> = (0..64)
        .map(|number: i64| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let id = number.to_string();
                let request_id = Some(id.clone());
                let event =
                    Event { request_id, timestamp: number, ..event(&id, EventType::click()) };
                assert_eq!(store.append_events(vec![event]).await.unwrap(), [true]);
                // Confirmed means readable.
                let found = store.history(&"u".into(), number + 1, 1, 0).await.unwrap();
                assert_eq!(found.entries[0].timestamp, number);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(stats(&store, "i").await, (64, 64));
    assert_eq!(history(&store, "u").await.len(), 64);
}

pub async fn concurrent_repeats_are_new_once(store: AnyStore) {
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store.append_events(vec![event("1", EventType::click())]).await.unwrap()
            })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += usize::from(task.await.unwrap()[0]);
    }
    assert_eq!(new, 1);
    assert_eq!(stats(&store, "i").await, (1, 1));
}

pub async fn readers_see_every_confirmed_write(store: AnyStore) {
    let (confirmed, seen) = tokio::sync::watch::channel(0);
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for version in 1..=60 {
                let item = Item { title: version.to_string(), ..item("a") };
                store.put_items(vec![NewItem { item, image: None }]).await.unwrap();
                confirmed.send(version).unwrap();
            }
        }
    });
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, seen) = (Arc::clone(&store), seen.clone());
            tokio::spawn(async move {
                while seen.has_changed().is_ok() {
                    let least = *seen.borrow();
                    let found = store.items(&ids(&["a"])).await.unwrap();
                    let title = found[0].as_deref().map_or("0", |stored| &stored.item.title);
                    assert!(title.parse::<i32>().unwrap() >= least, "{title} after {least}");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    writer.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    let found = store.items(&ids(&["a"])).await.unwrap();
    assert_eq!(found[0].as_deref().unwrap().item.title, "60");
}

pub async fn views_include_every_confirmed_write(store: AnyStore) {
    let (confirmed, seen) = tokio::sync::watch::channel(0_i64);
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for version in 1..=60_i64 {
                let mut profile = user("u");
                profile.features.insert("version".into(), version.into());
                let id = format!("e{version}");
                let click = Event {
                    request_id: None,
                    timestamp: version,
                    ..event(&id, EventType::click())
                };
                store.append_events(vec![click]).await.unwrap();
                store.put_users(vec![profile]).await.unwrap();
                confirmed.send(version).unwrap();
            }
        }
    });
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, seen) = (Arc::clone(&store), seen.clone());
            tokio::spawn(async move {
                let limits = HistoryLimits { clicks: 2, impressions: 2 };
                while seen.has_changed().is_ok() {
                    let least = *seen.borrow();
                    let view = store.user_view(&"u".into(), i64::MAX, limits).await.unwrap();
                    let newest = view.newest().unwrap_or(0);
                    let profile = view.profile.as_ref();
                    let version = profile.map_or(0, |profile| {
                        profile.features["version"].numbers()[0].as_i64().unwrap()
                    });
                    assert!(newest >= least, "clicked at {newest} after {least}");
                    assert!(version >= least, "{version} after {least}");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    writer.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}
