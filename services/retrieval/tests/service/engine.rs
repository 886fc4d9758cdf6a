//! Item vectors in a shared engine.

use plugrank_contract::{
    Context,
    retrieval::{RefreshItems, Retrieved},
};
use plugrank_retrieval::RetrievalService;
use plugrank_transport::Service;

use crate::{
    following::{fill, wait_until},
    redis::Redis,
    shop::{Shop, from, ids, item, refresh, request, retrieve},
};

async fn near(service: &RetrievalService) -> Retrieved {
    retrieve(service, request("u", 100)).await
}

/// Waits until a service finds the same neighbours as one with an embedded index.
async fn until_equal(service: &RetrievalService, embedded: &RetrievalService) {
    wait_until("they name the same", async || {
        let (a, b) = (near(service).await, near(embedded).await);
        a.failed.is_empty() && from(&a, "ann") == from(&b, "ann")
    })
    .await;
}

#[tokio::test]
async fn replicas_share_vectors_that_one_of_them_maintains() {
    let mut engine = Redis::with_vector_sets();
    let redis = Redis::start();
    let mut shop = Shop::over(redis.store(1_000_000).await);
    fill(&shop).await;
    shop.vectors.set("zero", &[0.0, 0.0]);
    shop.put(item("zero", &["x"], None)).await;
    let embedded = shop.build().await.unwrap();
    shop.vectors.fetched();
    shop.engine = Some(engine.vector_sets());
    let first = shop.build().await.unwrap();
    assert_eq!(shop.vectors.fetched().len(), 11, "it fills the engine");
    let second = shop.build().await.unwrap();
    assert_eq!(shop.vectors.fetched(), [], "which the next one finds filled");
    assert_eq!((first.status().indexed, second.status().indexed), (10, 10));
    assert_eq!(first.status().bundle.as_deref(), Some("bundle-1"));
    for service in [&first, &second] {
        assert_eq!(from(&near(service).await, "ann"), from(&near(&embedded).await, "ann"));
    }

    // A notice to one replica writes at once; the change stream is applied once for all.
    shop.vectors.set("new", &[0.9, 9.0]);
    shop.put(item("new", &["x"], Some(900_000))).await;
    refresh(&first, &["new"]).await;
    assert!(from(&near(&first).await, "ann").contains(&"new"));
    let mut sold = item("i3", &["x"], Some(3));
    sold.available = false;
    shop.put(sold).await;
    shop.store.delete_items(&["i8".into()]).await.unwrap();
    wait_until("it is sold", async || !from(&near(&embedded).await, "ann").contains(&"i3")).await;
    wait_until("it is gone", async || !ids(&near(&embedded).await).contains(&"i8")).await;
    for service in [&first, &second] {
        until_equal(service, &embedded).await;
        wait_until("its vector is gone", async || service.status().indexed == 10).await;
    }

    // Engine down: other sources answer, and changes are found once it is back.
    engine.kill();
    let less = near(&second).await;
    assert_eq!(less.failed[0].0, "ann", "{:?}", less.failed);
    assert!(less.failed[0].1.contains("vector engine"), "{:?}", less.failed);
    assert_eq!(less.candidates.len(), 9, "all that are shown and were not clicked");
    shop.vectors.set("later", &[0.8, 9.0]);
    shop.put(item("later", &["x"], Some(900_001))).await;
    let call = RefreshItems { item_ids: vec!["later".into()] };
    first.call(Context::background(), call).await.unwrap();
    engine.restart();
    wait_until("it is told", async || from(&near(&embedded).await, "ann").contains(&"later")).await;
    for service in [&first, &second] {
        until_equal(service, &embedded).await;
        assert!(from(&near(service).await, "ann").contains(&"later"));
    }

    // The replica that maintained the vectors ends; another takes over.
    drop(first);
    shop.vectors.set("last", &[0.7, 9.0]);
    shop.put(item("last", &["x"], Some(900_002))).await;
    wait_until("another replica maintains the vectors", async || {
        from(&near(&second).await, "ann").contains(&"last")
    })
    .await;

    // A new bundle fills vectors of its own.
    shop.vectors.activate("bundle-2", 3);
    shop.vectors.set("i9", &[1.0, 0.0, 9.0]);
    shop.vectors.set("i1", &[1.0, 0.0, 1.0]);
    wait_until("it has the new vectors", async || {
        second.status().bundle.as_deref() == Some("bundle-2") && second.status().indexed == 2
    })
    .await;
    assert_eq!(from(&near(&second).await, "ann"), ["i1"]);
}

#[tokio::test]
async fn retrieval_starts_without_the_engine_and_over_an_embedded_store() {
    let mut engine = Redis::with_vector_sets();
    let mut shop = Shop::new();
    fill(&shop).await;
    shop.engine = Some(engine.vector_sets());
    engine.kill();
    let service = shop.build().await.unwrap();
    let less = near(&service).await;
    assert_eq!((less.failed.len(), less.candidates.len()), (1, 9), "{:?}", less.failed);
    engine.restart();
    wait_until("it is filled", async || near(&service).await.failed.is_empty()).await;
    assert_eq!(from(&near(&service).await, "ann").len(), 9);
    drop(service);
    // Changes made while no process ran are read from the store's change log.
    shop.store.delete_items(&["i8".into()]).await.unwrap();
    let service = shop.build().await.unwrap();
    wait_until("its vector is gone", async || service.status().indexed == 9).await;
    // A failed write is repeated as soon as the engine is back.
    engine.kill();
    shop.vectors.set("later", &[0.8, 9.0]);
    shop.put(item("later", &["x"], Some(900_001))).await;
    refresh(&service, &["later"]).await;
    engine.restart();
    wait_until("it is told", async || from(&near(&service).await, "ann").contains(&"later")).await;
}
