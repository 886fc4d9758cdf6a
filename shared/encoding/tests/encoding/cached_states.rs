//! A cached state lasts as long as what it was made from stays as it was.

use std::collections::BTreeMap;

use plugrank_contract::Deadline;
use plugrank_contract::{TimestampMs, User, UserId, embedding::Tiers};
use plugrank_encoding::EncodingOptions;

use crate::bench::{Bench, event, ids, item};

const LATER: TimestampMs = 5_000_000;

/// A bench whose user `u1` has a cached state.
async fn bench() -> Bench {
    let bench = Bench::new(EncodingOptions::default()).await;
    bench.state("u1", LATER).await;
    assert!(bench.state("u1", LATER).await.cached);
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_other_items_keep_the_cached_state() {
    let bench = bench().await;
    let epoch = bench.encoding.items().epoch();
    bench.write(vec![item("i5", "another title"), item("more", "a shoe")]).await;
    assert!(bench.encoding.items().epoch() > epoch);
    assert!(bench.state("u1", LATER).await.cached);
    bench.store.delete_items(&ids(&["more"])).await.unwrap();
    bench.refresh(&ids(&["more"])).await;
    assert!(bench.state("u1", LATER).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_history_item_invalidates_the_state() {
    let bench = bench().await;
    let before = bench.state("u1", LATER).await;
    bench.write(vec![item("i4", "blue blue lamp")]).await;
    let after = bench.state("u1", LATER).await;
    assert!(!after.cached);
    assert_ne!(after.state, before.state);
    assert!(bench.state("u1", LATER).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_and_restoring_a_history_item_invalidates_the_state() {
    let bench = bench().await;
    let before = bench.state("u1", LATER).await;
    bench.store.delete_items(&ids(&["i4"])).await.unwrap();
    bench.refresh(&ids(&["i4"])).await;
    let without = bench.state("u1", LATER).await;
    assert!(!without.cached);
    assert_ne!(without.state, before.state);
    assert!(bench.state("u1", LATER).await.cached, "the missing record is what it has for good");
    bench.write(vec![item("i4", "red shoe")]).await;
    let again = bench.state("u1", LATER).await;
    assert!(!again.cached);
    assert_eq!(again.state, before.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_an_unknown_history_item_invalidates_the_state() {
    let bench = bench().await;
    bench.store.append_events(vec![event(8, "u1", "later", 4_500_000)]).await.unwrap();
    let unknown = bench.state("u1", LATER).await;
    assert_eq!((unknown.cached, unknown.state.history_len), (false, 5));
    assert!(bench.state("u1", LATER).await.cached);
    bench.write(vec![item("other", "an item that has nothing to do with it")]).await;
    assert!(bench.state("u1", LATER).await.cached);
    bench.write(vec![item("later", "a blue book")]).await;
    let known = bench.state("u1", LATER).await;
    assert!(!known.cached);
    assert_ne!(known.state, unknown.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_profile_invalidates_the_state() {
    let bench = bench().await;
    let features = BTreeMap::from([("country".to_owned(), "de".into())]);
    let user = User { user_id: UserId::from("u1"), features };
    bench.store.put_users(vec![user]).await.unwrap();
    assert!(!bench.state("u1", LATER).await.cached);
    assert!(bench.state("u1", LATER).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_made_from_outdated_records_is_not_cached() {
    let bench = bench().await;
    let old = bench.state("u1", LATER).await;
    bench.write(vec![item("i4", "blue blue lamp")]).await;
    let view = bench.user("u1", LATER).await;
    let cached = bench.encoding.user_state(&view, LATER, Deadline::NONE, Tiers::Cached);
    let cached = cached.await.unwrap();
    assert!(!cached.cached);
    assert_eq!(cached.state, old.state, "the row of `i4` is that of before");
    let whole = bench.state("u1", LATER).await;
    assert!(!whole.cached);
    assert_ne!(whole.state, old.state);
}
