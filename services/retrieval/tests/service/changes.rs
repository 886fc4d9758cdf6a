//! Changes of items, events and bundles.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::shop::{Shop, from, ids, item, observe, refresh, request, retrieve, sources};
use plugrank_contract::{
    CallError, Context, ErrorCode, Item,
    retrieval::{RefreshItems, Retrieve},
};
use plugrank_retrieval::{RetrievalError, RetrievalService};
use plugrank_transport::Service;

async fn shop() -> Shop {
    let shop = Shop::new();
    for n in 0..10u8 {
        let id = format!("i{n}");
        shop.put(item(&id, &["x"], Some(i64::from(n)))).await;
        shop.vectors.set(&id, &[1.0, f32::from(n)]);
        shop.stats(&id, 10, 100).await;
    }
    shop.clicks("u", &["i9"], 500).await;
    shop
}

#[tokio::test]
async fn items_with_a_zero_vector_are_not_indexed() {
    let shop = shop().await;
    shop.put(item("zero", &["x"], None)).await;
    shop.vectors.set("zero", &[0.0, 0.0]);
    shop.put(item("missing", &["x"], None)).await;
    let service = shop.build().await.unwrap();
    let status = service.status();
    assert_eq!((status.items, status.indexed), (12, 10));
    assert_eq!(status.bundle.as_deref(), Some("bundle-1"));
    let retrieved = retrieve(&service, request("u", 100)).await;
    assert!(ids(&retrieved).contains(&"zero") && ids(&retrieved).contains(&"missing"));
    assert!(!from(&retrieved, "ann").contains(&"zero"));
    assert!(!from(&retrieved, "ann").contains(&"missing"));
}

#[tokio::test]
async fn a_written_item_can_be_retrieved_at_once() {
    let shop = shop().await;
    let service = shop.build().await.unwrap();
    shop.put(item("new", &["x"], Some(900_000))).await;
    shop.vectors.set("new", &[0.9, 9.0]);
    refresh(&service, &["new", "new", "never was"]).await;
    let retrieved = retrieve(&service, request("u", 100)).await;
    let new = sources(&retrieved, "new");
    assert!(new.contains(&"ann") && new.contains(&"fresh"));
    // The newest item, not yet clicked: the fill finds it too.
    shop.put(item("plain", &[], None)).await;
    refresh(&service, &["plain"]).await;
    assert!(ids(&retrieve(&service, request("nobody", 100)).await).contains(&"plain"));
}

#[tokio::test]
async fn a_deleted_item_is_not_retrieved_and_can_be_written_again() {
    let shop = shop().await;
    let service = shop.build().await.unwrap();
    shop.store.delete_items(&["i8".into()]).await.unwrap();
    shop.vectors.fail(Some(CallError::unavailable("embedding is unavailable")));
    refresh(&service, &["i8"]).await;
    shop.vectors.fail(None);
    assert!(!ids(&retrieve(&service, request("u", 100)).await).contains(&"i8"));
    assert_eq!((service.status().items, service.status().indexed), (9, 9));
    shop.put(item("i8", &["x"], None)).await;
    refresh(&service, &["i8"]).await;
    assert!(from(&retrieve(&service, request("u", 100)).await, "ann").contains(&"i8"));
}

#[tokio::test]
async fn an_unavailable_item_is_no_candidate_but_still_counts_as_history() {
    let shop = shop().await;
    let service = shop.build().await.unwrap();
    let mut sold = item("i9", &["x"], None);
    sold.available = false;
    shop.put(sold).await;
    refresh(&service, &["i9"]).await;
    let nobody = retrieve(&service, request("nobody", 100)).await;
    assert!(!ids(&nobody).contains(&"i9"));
    let near = retrieve(&service, request("u", 100)).await;
    assert_eq!(from(&near, "ann").len(), 9, "neighbours of the sold item");
}

/// The item with another title: what its vector is made of is another.
fn renamed(id: &str) -> Item {
    Item { title: "Another title".to_owned(), ..item(id, &["x"], None) }
}

#[tokio::test]
async fn a_changed_vector_moves_the_item() {
    let mut shop = shop().await;
    shop.share("ann", 0.1);
    let service = shop.build().await.unwrap();
    assert_eq!(from(&retrieve(&service, request("u", 10)).await, "ann"), ["i8"]);
    shop.vectors.set("i0", &[1.0, 9.0]);
    refresh(&service, &["i0"]).await;
    // No vector is fetched for an unchanged item.
    assert_eq!(from(&retrieve(&service, request("u", 10)).await, "ann"), ["i8"]);
    shop.put(renamed("i0")).await;
    refresh(&service, &["i0"]).await;
    assert_eq!(from(&retrieve(&service, request("u", 10)).await, "ann"), ["i0"]);
}

#[tokio::test(start_paused = true)]
async fn events_change_the_popular_items() {
    let mut shop = shop().await;
    // Far longer than the paused clock advances on its own.
    let refresh_ms = 3_600_000;
    shop.options.popular.refresh_ms = refresh_ms;
    // Popularity only, so that no other source affects the order.
    shop.share("category", 0.0);
    shop.share("fresh", 0.0);
    let service = shop.build().await.unwrap();
    let events = shop.clicks("crowd", &["i3"; 300], 600).await;
    observe(&service, events).await;
    let call = || request("nobody", 10);
    let first = |retrieved| from(&retrieved, "popular")[0].to_owned();
    assert_ne!(first(retrieve(&service, call()).await), "i3", "not before the lists are due");
    tokio::time::advance(Duration::from_millis(refresh_ms)).await;
    retrieve(&service, call()).await;
    // With the clock paused, sleep returns once the thread that sorts the lists is done.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(first(retrieve(&service, call()).await), "i3");
}

#[tokio::test]
async fn new_co_visits_are_retrieved_at_once() {
    let shop = shop().await;
    let service = shop.build().await.unwrap();
    let before = retrieve(&service, request("u", 10)).await;
    assert_eq!(from(&before, "co_visitation"), [] as [&str; 0]);
    for (user, items) in [("v", ["i9", "i2"]), ("w", ["i2", "i9"]), ("x", ["i9", "i4"])] {
        observe(&service, shop.clicks(user, &items, 600).await).await;
    }
    let after = retrieve(&service, request("u", 10)).await;
    let mut found = from(&after, "co_visitation");
    found.sort_unstable();
    assert_eq!(found, ["i2", "i4"]);
    assert_eq!(ids(&after).iter().filter(|id| ["i2", "i4"].contains(id)).count(), 2);
}

#[tokio::test]
async fn decayed_co_visits_survive_a_restart() {
    let mut shop = shop().await;
    shop.options.co_visitation.half_life_days = 1.0;
    // No other source affects the order.
    for source in ["ann", "category", "popular", "fresh"] {
        shop.share(source, 0.0);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let day = 86_400_000;
    let service = shop.build().await.unwrap();
    // Twice three days ago, which is a quarter of a click now; once just now.
    for (user, items, days) in
        [("v", ["i9", "i4"], 3), ("w", ["i4", "i9"], 3), ("x", ["i9", "i2"], 0)]
    {
        let events = shop.clicks(user, &items, now - days * day - 60_000).await;
        observe(&service, events).await;
    }
    let call = || Retrieve { as_of: now, ..request("u", 10) };
    let found = async |service: &RetrievalService| {
        let retrieved = retrieve(service, call()).await;
        from(&retrieved, "co_visitation").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = found(&service).await;
    assert_eq!(before, ["i2", "i4"], "what is older counts less");
    drop(service);
    let service = shop.build().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    // The log is read again in the background.
    while found(&service).await != before {
        assert!(Instant::now() < deadline, "{:?} is not {before:?}", found(&service).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn vectors_of_another_bundle_replace_the_index() {
    let shop = shop().await;
    let service = shop.build().await.unwrap();
    shop.vectors.activate("bundle-2", 3);
    for n in 0..5u8 {
        shop.vectors.set(&format!("i{n}"), &[1.0, 0.0, f32::from(n)]);
    }
    shop.put(renamed("i0")).await;
    refresh(&service, &["i0"]).await;
    let status = service.status();
    assert_eq!((status.bundle.as_deref(), status.indexed), (Some("bundle-2"), 5));
    shop.vectors.activate("bundle-3", 2);
    service.rebuild_index().await.unwrap();
    assert_eq!(service.status().bundle, None, "no vector yet");
}

#[tokio::test]
async fn without_the_embedding_service_building_waits_and_a_refresh_fails() {
    let shop = shop().await;
    let down = CallError::unavailable("embedding is unavailable");
    shop.vectors.fail(Some(down.clone()));
    let error = shop.build().await.err().unwrap();
    assert!(matches!(&error, RetrievalError::Vectors(cause) if *cause == down), "{error}");
    shop.vectors.fail(None);
    let service = shop.build().await.unwrap();
    shop.vectors.fail(Some(down));
    shop.put(renamed("i1")).await;
    let call = RefreshItems { item_ids: vec!["i1".into()] };
    let error = service.call(Context::background(), call).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(error.message.contains("embedding is unavailable"), "{}", error.message);
}

#[tokio::test]
async fn build_progress_reaches_the_catalog_size() {
    let shop = Shop::new();
    for n in 0..2_500 {
        let id = format!("i{n}");
        shop.vectors.set(&id, &[1.0, n as f32]);
    }
    let items = (0..2_500)
        .map(|n| plugrank_store::NewItem { item: item(&format!("i{n}"), &[], None), image: None });
    shop.store.put_items(items.collect()).await.unwrap();
    let seen = parking_lot::Mutex::new(Vec::new());
    let service = shop.build_telling(|progress| seen.lock().push(progress)).await.unwrap();
    assert_eq!(service.status().indexed, 2_500);
    let seen = seen.into_inner();
    assert!(seen.is_sorted_by_key(|progress| (progress.items, progress.indexed)));
    let last = seen.last().unwrap();
    assert_eq!((last.items, last.total, last.indexed), (2_500, 2_500, 2_500));
}
