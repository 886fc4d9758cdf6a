//! Items held in memory, and what happens elsewhere.

use std::time::{Duration, Instant};

use plugrank_store::{NewItem, RedisOptions, RedisServers, RedisStore, Store, StoreError};

use crate::{
    fixtures::{ids, item, new_item},
    redis_server::RedisServer,
    run,
};

/// The longest that an item may be answered after it was changed elsewhere: a heartbeat and the
/// wait for its answer (redis/tracking.rs). It takes about a millisecond while nothing is broken.
const BOUND: Duration = Duration::from_millis(900);

fn titled(id: &str, title: &str) -> NewItem {
    let mut item = item(id);
    item.title = title.into();
    NewItem { item, image: None }
}

async fn title(store: &RedisStore, id: &str) -> Option<String> {
    store.items(&ids(&[id])).await.unwrap()[0].as_ref().map(|stored| stored.item.title.clone())
}

/// One process writes, another, which holds the item in memory, reads.
pub(crate) async fn writes_elsewhere_are_seen(servers: &RedisServers) {
    let options = || RedisOptions { namespace: "caching".into(), ..RedisOptions::default() };
    let writer = RedisStore::connect(servers, options()).await.unwrap();
    let reader = RedisStore::connect(servers, options()).await.unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("i{number}")).collect();
    let mut waits = Vec::new();
    for round in 0..10 {
        for name in &names {
            let new = format!("{name} {round}");
            writer.put_items(vec![titled(name, &new)]).await.unwrap();
            let confirmed = Instant::now();
            while title(&reader, name).await.as_deref() != Some(new.as_str()) {
                assert!(confirmed.elapsed() < BOUND, "{name} is old after {BOUND:?}");
            }
            waits.push(confirmed.elapsed());
        }
    }
    waits.sort_unstable();
    println!("seen after {:?} (median), {:?} (longest)", waits[waits.len() / 2], waits.last());

    writer.delete_items(&ids(&["i0"])).await.unwrap();
    let confirmed = Instant::now();
    while title(&reader, "i0").await.is_some() {
        assert!(confirmed.elapsed() < BOUND, "still there");
    }
}

#[test]
fn what_one_process_writes_another_sees() {
    let server = RedisServer::start();
    run(async { writes_elsewhere_are_seen(&server.servers()).await });
}

/// Answers whether the item comes from memory: the server is silent meanwhile.
async fn held(server: &RedisServer, store: &RedisStore) -> bool {
    server.signal("STOP");
    let answer = tokio::time::timeout(Duration::from_millis(50), store.items(&ids(&["a"]))).await;
    server.signal("CONT");
    matches!(answer, Ok(Ok(items)) if items[0].is_some())
}

/// Reads item `a` until it is answered from memory.
pub(crate) async fn until_held(server: &RedisServer, store: &RedisStore) {
    let begun = Instant::now();
    while !held(server, store).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "never held");
        // May fail right after the server was silent.
        let _ = store.items(&ids(&["a"])).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn items_are_held_only_while_word_of_changes_comes() {
    let server = RedisServer::start();
    let call_timeout = Duration::from_millis(300);
    run(async {
        let options = RedisOptions { call_timeout, ..RedisOptions::default() };
        let store = RedisStore::connect(&server.servers(), options).await.unwrap();
        store.put_items(vec![new_item("a")]).await.unwrap();
        until_held(&server, &store).await;
        // Silent for longer than the bound: what is held may be old, and is answered no more.
        server.signal("STOP");
        tokio::time::sleep(BOUND + Duration::from_millis(300)).await;
        let error = store.items(&ids(&["a"])).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        server.signal("CONT");
        until_held(&server, &store).await;
    });
}
