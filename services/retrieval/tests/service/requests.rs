//! What requests get from a small shop on a real store.

use std::collections::HashSet;

use crate::shop::{Shop, dropped, from, ids, item, request, retrieve, sources};
use plugrank_contract::{Context, ErrorCode, HistoryLimits, ItemId, UserRead, retrieval::Retrieve};
use plugrank_retrieval::RetrievalService;
use plugrank_transport::Service;

/// 40 items: `n0` to `n19` point north and are nature books, `e0` to `e19` point east and are
/// fiction. `n19` and `e19` are the newest, the clicks of `e7` and `n7` the most.
async fn two_sides() -> Shop {
    let shop = Shop::new();
    for n in 0..20u8 {
        let tilt = f32::from(n) / 100.0;
        for (side, category, vector) in
            [("n", "nature", [tilt, 1.0]), ("e", "fiction", [1.0, tilt])]
        {
            let id = format!("{side}{n}");
            shop.put(item(&id, &["books", category], Some(i64::from(n) * 1_000))).await;
            shop.vectors.set(&id, &vector);
            shop.stats(&id, 1, 20).await;
        }
    }
    shop.stats("e7", 90, 100).await;
    shop.stats("n7", 50, 100).await;
    shop
}

async fn service(shop: &Shop) -> RetrievalService {
    shop.build().await.expect("a small shop is built")
}

#[tokio::test]
async fn neighbours_of_clicked_items_are_retrieved_without_the_clicked_items() {
    let shop = two_sides().await;
    shop.clicks("u", &["n0", "n1", "n7"], 500).await;
    let service = service(&shop).await;
    let retrieved = retrieve(&service, request("u", 20)).await;
    assert!(retrieved.failed.is_empty(), "{:?}", retrieved.failed);
    assert_eq!(retrieved.candidates.len(), 20);
    let near = from(&retrieved, "ann");
    assert_eq!(near.len(), 10, "half of the limit");
    assert!(near.iter().all(|id| id.starts_with('n')), "{near:?}");
    for clicked in ["n0", "n1", "n7"] {
        assert!(!ids(&retrieved).contains(&clicked));
    }
    // The most popular of the user's categories was clicked already, and the answer says so.
    assert!(dropped(&retrieved).contains(&("n7", "seen")));
    assert!(from(&retrieved, "popular").contains(&"e7"));
    assert!(from(&retrieved, "fresh").contains(&"n19"));
    assert_eq!(retrieved, retrieve(&service, request("u", 20)).await, "one request, one answer");
}

#[tokio::test]
async fn each_interest_of_a_user_gets_candidates() {
    let shop = two_sides().await;
    shop.clicks("u", &["n0", "e0"], 500).await;
    let retrieved = retrieve(&service(&shop).await, request("u", 20)).await;
    let near = from(&retrieved, "ann");
    assert!(near.iter().any(|id| id.starts_with('n')), "{near:?}");
    assert!(near.iter().any(|id| id.starts_with('e')), "{near:?}");
}

#[tokio::test]
async fn an_unknown_user_gets_popular_fresh_and_category_items() {
    let shop = two_sides().await;
    let retrieved = retrieve(&service(&shop).await, request("nobody", 20)).await;
    assert_eq!(retrieved.candidates.len(), 20);
    assert!(retrieved.failed.is_empty());
    assert_eq!(from(&retrieved, "ann"), [] as [&str; 0]);
    let popular = from(&retrieved, "popular");
    assert!(popular.contains(&"e7") && popular.contains(&"n7"), "{popular:?}");
    let mix = from(&retrieved, "category");
    assert!(mix.contains(&"e7") && mix.contains(&"n7"), "{mix:?}");
    let fresh: HashSet<&str> = from(&retrieved, "fresh").into_iter().collect();
    assert_eq!(fresh, HashSet::from(["e19", "n19"]));
}

#[tokio::test]
async fn only_events_before_the_request_time_are_read() {
    let shop = two_sides().await;
    shop.clicks("u", &["n0"], 5_000).await;
    let service = service(&shop).await;
    let earlier = Retrieve { as_of: 5_000, ..request("u", 100) };
    let retrieved = retrieve(&service, earlier).await;
    assert!(ids(&retrieved).contains(&"n0"), "the click comes later");
    assert!(from(&retrieved, "fresh").iter().all(|id| id[1..].parse::<u8>().unwrap() <= 5));
    assert_eq!(from(&retrieved, "ann"), [] as [&str; 0]);
    let later = Retrieve { as_of: 5_001, ..request("u", 100) };
    assert!(!ids(&retrieve(&service, later).await).contains(&"n0"));
}

#[tokio::test]
async fn co_visitation_finds_items_clicked_together() {
    let shop = two_sides().await;
    let neighbours = vec![("e3".into(), 2.0), ("vanished".into(), 1.5), ("e4".into(), 1.0)];
    shop.store.put_neighbours(vec![("n0".into(), neighbours)]).await.unwrap();
    shop.clicks("u", &["n0"], 500).await;
    let retrieved = retrieve(&service(&shop).await, request("u", 20)).await;
    assert_eq!(from(&retrieved, "co_visitation"), ["e3", "e4"]);
    assert!(dropped(&retrieved).contains(&("vanished", "unknown")));
    assert_eq!(retrieved.unknown, 1);
}

#[tokio::test]
async fn a_small_catalog_is_returned_whole() {
    let shop = two_sides().await;
    shop.clicks("u", &["n0", "n1"], 500).await;
    let mut gone = item("e5", &["books"], None);
    gone.available = false;
    shop.put(gone).await;
    let call = Retrieve {
        exclude: ["e6", "no such"].map(ItemId::from).into_iter().collect(),
        ..request("u", 500)
    };
    let retrieved = retrieve(&service(&shop).await, call).await;
    let distinct: HashSet<&str> = ids(&retrieved).into_iter().collect();
    assert_eq!((retrieved.candidates.len(), distinct.len()), (36, 36));
    for kept_out in ["n0", "n1", "e5", "e6"] {
        assert!(!distinct.contains(kept_out));
    }
}

#[tokio::test]
async fn candidates_of_the_caller_keep_their_order() {
    let shop = two_sides().await;
    shop.clicks("u", &["n3"], 500).await;
    let mut gone = item("e5", &["books"], None);
    gone.available = false;
    shop.put(gone).await;
    let candidates = ["e9", "n3", "no such", "e9", "e2", "e5", "n4", "e1", "n6"];
    let call = Retrieve {
        candidates: Some(candidates.map(ItemId::from).into_iter().collect()),
        exclude: ["e2"].map(ItemId::from).into_iter().collect(),
        ..request("u", 4)
    };
    let retrieved = retrieve(&service(&shop).await, call).await;
    assert_eq!(ids(&retrieved), ["e9", "n3", "n4", "e1"]);
    assert!(ids(&retrieved).iter().all(|id| sources(&retrieved, id) == ["caller"]));
    assert_eq!(
        dropped(&retrieved),
        [("no such", "unknown"), ("e2", "excluded"), ("e5", "unavailable"), ("n6", "over_limit")]
    );
    assert_eq!(retrieved.user, UserRead::NotRead, "no filter needs the user");
    assert_eq!(retrieved.dropped_total, 4);
    let none = Retrieve { candidates: Some(Vec::new().into()), ..request("u", 4) };
    assert!(retrieve(&service(&shop).await, none).await.candidates.is_empty());
}

#[tokio::test]
async fn duplicates_count_once_and_unknown_ids_are_listed_on_request() {
    let shop = two_sides().await;
    let service = service(&shop).await;
    let candidates = ["n1", "what", "n0", "n1", "why", "what", "n0", "what"].map(ItemId::from);
    let call = Retrieve { candidates: Some(candidates.to_vec().into()), ..request("u", 10) };
    let explained = retrieve(&service, call.clone()).await;
    assert_eq!(ids(&explained), ["n1", "n0"]);
    assert_eq!(explained.sources.len(), 2);
    assert_eq!(dropped(&explained), [("what", "unknown"), ("why", "unknown")]);
    assert_eq!((explained.dropped_total, explained.unknown), (2, 2));
    let brief = retrieve(&service, Retrieve { explain: false, ..call }).await;
    assert!(brief.dropped.is_empty());
    assert_eq!((brief.dropped_total, brief.unknown), (2, 2));
    assert_eq!((ids(&brief), &brief.sources), (ids(&explained), &explained.sources));
}

#[tokio::test]
async fn the_reply_includes_the_user_that_was_read() {
    let mut shop = two_sides().await;
    shop.options.history = HistoryLimits { clicks: 5, impressions: 7 };
    shop.options.seen_clicks = 2;
    shop.clicks("u", &["n0", "n1", "n2"], 500).await;
    let retrieved = retrieve(&service(&shop).await, request("u", 100)).await;
    let UserRead::Read(user) = &retrieved.user else { panic!("{:?}", retrieved.user) };
    assert!(user.limits.cover(shop.options.history), "{:?}", user.limits);
    let clicked: Vec<&str> = user.clicks().map(|entry| entry.item_id.as_str()).collect();
    assert_eq!(clicked, ["n2", "n1", "n0"]);
    let seen: Vec<&str> = dropped(&retrieved)
        .iter()
        .filter(|(_, reason)| *reason == "seen")
        .map(|(id, _)| *id)
        .collect();
    assert!(!seen.contains(&"n0") && ids(&retrieved).contains(&"n0"), "only the last two clicks");
}

#[tokio::test]
async fn recomputed_neighbours_are_read_after_the_refresh_interval() {
    let mut shop = two_sides().await;
    shop.options.co_visitation.refresh_ms = 200;
    shop.clicks("u", &["n0"], 500).await;
    let service = service(&shop).await;
    assert!(from(&retrieve(&service, request("u", 20)).await, "co_visitation").is_empty());
    shop.store.put_neighbours(vec![("n0".into(), vec![("e3".into(), 2.0)])]).await.unwrap();
    crate::following::wait_until("they are read again", async || {
        from(&retrieve(&service, request("u", 20)).await, "co_visitation") == ["e3"]
    })
    .await;
}

#[tokio::test]
async fn at_most_a_thousand_drops_are_listed() {
    let shop = two_sides().await;
    let candidates = (0..1_500).map(|n| ItemId::from(format!("x{n}"))).collect();
    let call = Retrieve { candidates: Some(candidates), ..request("u", 10) };
    let retrieved = retrieve(&service(&shop).await, call).await;
    assert_eq!((retrieved.dropped.len(), retrieved.dropped_total), (1_000, 1_500));
}

#[tokio::test]
async fn an_empty_catalog_returns_no_candidates() {
    let retrieved = retrieve(&service(&Shop::new()).await, request("u", 10)).await;
    assert!(retrieved.candidates.is_empty() && retrieved.failed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn invalid_requests_are_refused() {
    let shop = two_sides().await;
    let service = service(&shop).await;
    let many = vec![ItemId::from("e1"); 10_001].into();
    let wrong = [
        ("limit", request("u", 0)),
        ("limit", request("u", 10_001)),
        ("candidates", Retrieve { candidates: Some(many), ..request("u", 10) }),
    ];
    for (field, call) in wrong {
        let error = service.call(Context::background(), call).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.message.contains(&format!("`{field}`")), "{}", error.message);
    }
    let late = Context::background().within(std::time::Duration::ZERO);
    let error = service.call(late, request("u", 10)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::DeadlineExceeded);
}
