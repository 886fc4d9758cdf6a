use std::time::{Duration, Instant};

use plugrank_store::{ItemStats, NewItem};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

use super::*;
use crate::testing::item;

async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: not within half a minute");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn put(store: &dyn Store, id: &str, created_at: i64) {
    let new = NewItem { item: item(id, &["x"], Some(created_at)), image: None };
    store.put_items(vec![new]).await.expect("it is written");
}

fn follow(store: &Arc<dyn Store>, items: &Arc<ItemTable>, position: ChangePosition) -> Follower {
    let (store, items) = (Arc::clone(store), Arc::clone(items));
    let log = store.changes().expect("it has a change log");
    let sink = Arc::new(TableSink { items: Arc::clone(&items), store: Arc::clone(&store) });
    Follower::start(FollowParts { store, items, log, position, sink })
}

#[tokio::test]
async fn the_item_table_follows_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = EmbeddedOptions { changes_kept: 8, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(&folder.path().join("store.redb"), options);
    let store: Arc<dyn Store> = Arc::new(store.expect("a store"));
    put(&*store, "old", 1).await;
    let position = store.changes().expect("a log").end().await.expect("an end");
    let items = ItemTable::new();
    items.load(&*store, &|_| {}).await.expect("it is loaded");
    put(&*store, "before", 2).await;

    let follower = follow(&store, &items, position.clone());
    follower.followed().caught_up().await;
    assert!(items.view().index_of("before").is_some(), "what came before the start is applied");
    put(&*store, "new", 3).await;
    store.delete_items(&["old".into()]).await.expect("it is deleted");
    let stats = ItemStats { impressions: 5, clicks: 1, ..ItemStats::default() };
    store.put_item_stats(vec![("new".into(), stats)]).await.expect("they are written");
    wait_until("all of it is seen", || {
        let view = items.view();
        let new = view.index_of("new");
        view.index_of("old").is_none() && new.is_some_and(|new| view.stats(new) == stats)
    })
    .await;
    let end = store.changes().expect("a log").end().await.expect("an end");
    wait_until("it says so", || follower.followed().position() == end).await;
    assert_eq!(follower.followed().status().resyncs, 0);
    drop(follower);

    // More changes than are kept come while there is no follower.
    for at in 0..20 {
        put(&*store, &format!("item-{at}"), at).await;
    }
    store.delete_items(&["before".into()]).await.expect("it is deleted");
    let follower = follow(&store, &items, end);
    follower.followed().caught_up().await;
    assert_eq!(follower.followed().status().resyncs, 1);
    assert_eq!(items.len(), 21);
    assert!(items.view().index_of("before").is_none());
}
