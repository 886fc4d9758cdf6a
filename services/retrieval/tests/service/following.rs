//! Changes by another process in a shared store are followed without a notice.

use std::time::{Duration, Instant};

use futures::future::join_all;
use plugrank_contract::CallError;
use plugrank_retrieval::{FollowStatus, RetrievalService};
use plugrank_store::NewItem;

use crate::{
    redis::Redis,
    shop::{Shop, from, ids, item, request, retrieve},
};

/// Ten items, and a user who clicked the last.
pub(crate) async fn fill(shop: &Shop) {
    for n in 0..10u8 {
        let id = format!("i{n}");
        shop.put(item(&id, &["x"], Some(i64::from(n)))).await;
        shop.vectors.set(&id, &[1.0, f32::from(n)]);
        shop.stats(&id, 10, 100).await;
    }
    shop.clicks("u", &["i9"], 500).await;
}

/// Waits until `done`, at most half a minute.
pub(crate) async fn wait_until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: not within half a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn status(service: &RetrievalService) -> FollowStatus {
    service.status().following.expect("it follows")
}

#[tokio::test]
async fn changes_of_another_process_are_followed_through_failures() {
    let mut redis = Redis::start();
    let shop = Shop::over(redis.store(1_000).await);
    fill(&shop).await;
    // The process that writes; and the one that is tested, with caches of its own.
    let writer = Shop::over(redis.store(1_000).await);
    let service = shop.build().await.unwrap();
    let known = async |id: &str| ids(&retrieve(&service, request("u", 100)).await).contains(&id);
    shop.vectors.fetched();

    shop.vectors.set("new", &[0.9, 9.0]);
    writer.put(item("new", &["x"], Some(900_000))).await;
    writer.store.delete_items(&["i8".into()]).await.unwrap();
    wait_until("both are seen", async || known("new").await && !known("i8").await).await;
    let near = retrieve(&service, request("u", 100)).await;
    assert!(from(&near, "ann").contains(&"new"));
    assert_eq!(shop.vectors.fetched(), ["new".into()], "no other vector is asked for");
    assert_eq!(service.status().indexed, 10);

    // Only whether it is shown changes: its vector does not.
    let mut sold = item("i3", &["x"], Some(3));
    sold.available = false;
    writer.put(sold).await;
    wait_until("it is sold", async || !known("i3").await).await;

    // What fails is tried again.
    shop.vectors.fail(Some(CallError::unavailable("embedding is unavailable")));
    shop.vectors.set("late", &[0.8, 9.0]);
    writer.put(item("late", &["x"], None)).await;
    wait_until("it is behind", async || status(&service).lag.entries > 0).await;
    shop.vectors.fail(None);
    wait_until("late is seen", async || {
        from(&retrieve(&service, request("u", 100)).await, "ann").contains(&"late")
    })
    .await;

    redis.kill();
    wait_until("it notices", async || !status(&service).connected).await;
    redis.restart();
    writer.put(item("i8", &["x"], None)).await;
    wait_until("it goes on", async || known("i8").await && status(&service).connected).await;
    wait_until("nothing is left", async || status(&service).lag.entries == 0).await;
    assert_eq!(status(&service).resyncs, 0, "it went on from where it was");
}

#[tokio::test]
async fn a_follower_that_missed_changes_reloads_the_catalog() {
    let redis = Redis::start();
    let shop = Shop::over(redis.store(256).await);
    fill(&shop).await;
    let service = shop.build().await.unwrap();
    shop.vectors.fetched();
    // While it is blocked, more changes come than the log keeps and than it buffers.
    shop.vectors.fail(Some(CallError::unavailable("embedding is unavailable")));
    shop.vectors.set("new", &[0.9, 9.0]);
    shop.put(item("new", &["x"], None)).await;
    shop.store.delete_items(&["i8".into()]).await.unwrap();
    for round in 0..20 {
        let write = async |n: u8| {
            let title = format!("{round} {n}");
            let changed = NewItem { item: item("i5", &[&title], None), image: None };
            shop.store.put_items(vec![changed]).await.unwrap();
        };
        join_all((0..100).map(write)).await;
    }
    shop.vectors.fail(None);
    wait_until("it reloads the catalog", async || status(&service).resyncs > 0).await;
    wait_until("nothing is left", async || status(&service).lag.entries == 0).await;
    let retrieved = retrieve(&service, request("u", 100)).await;
    assert!(from(&retrieved, "ann").contains(&"new") && !ids(&retrieved).contains(&"i8"));
    assert_eq!((service.status().items, service.status().indexed), (10, 10));
}

#[tokio::test]
async fn changes_of_an_embedded_store_are_followed() {
    let shop = Shop::new();
    fill(&shop).await;
    let service = shop.build().await.unwrap();
    shop.vectors.set("new", &[0.9, 9.0]);
    shop.put(item("new", &["x"], Some(900_000))).await;
    shop.store.delete_items(&["i8".into()]).await.unwrap();
    wait_until("both are seen", async || {
        let found = retrieve(&service, request("u", 100)).await;
        from(&found, "ann").contains(&"new") && !ids(&found).contains(&"i8")
    })
    .await;
}
