//! A cached user state is valid until one of its inputs changes.

use std::collections::BTreeMap;

use plugrank_contract::Deadline;
use plugrank_contract::{TimestampMs, User, UserId, embedding::Tiers};
use plugrank_encoding::EncodingOptions;

use crate::fixture::{Fixture, event, ids, item};

const LATER: TimestampMs = 5_000_000;

/// A fixture whose user `u1` has a cached state.
async fn fixture() -> Fixture {
    let fixture = Fixture::new(EncodingOptions::default()).await;
    fixture.state("u1", LATER).await;
    assert!(fixture.state("u1", LATER).await.cached);
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_other_items_keep_the_cached_state() {
    let fixture = fixture().await;
    let epoch = fixture.encoding.items().epoch();
    fixture.write(vec![item("i5", "another title"), item("more", "a shoe")]).await;
    assert!(fixture.encoding.items().epoch() > epoch);
    assert!(fixture.state("u1", LATER).await.cached);
    fixture.store.delete_items(&ids(&["more"])).await.unwrap();
    fixture.refresh(&ids(&["more"])).await;
    assert!(fixture.state("u1", LATER).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_history_item_invalidates_the_state() {
    let fixture = fixture().await;
    let before = fixture.state("u1", LATER).await;
    fixture.write(vec![item("i4", "blue blue lamp")]).await;
    let after = fixture.state("u1", LATER).await;
    assert!(!after.cached);
    assert_ne!(after.state, before.state);
    assert!(fixture.state("u1", LATER).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_and_restoring_a_history_item_invalidates_the_state() {
    let fixture = fixture().await;
    let before = fixture.state("u1", LATER).await;
    fixture.store.delete_items(&ids(&["i4"])).await.unwrap();
    fixture.refresh(&ids(&["i4"])).await;
    let without = fixture.state("u1", LATER).await;
    assert!(!without.cached);
    assert_ne!(without.state, before.state);
    assert!(fixture.state("u1", LATER).await.cached, "the missing record is what it has for good");
    fixture.write(vec![item("i4", "red shoe")]).await;
    let again = fixture.state("u1", LATER).await;
    assert!(!again.cached);
    assert_eq!(again.state, before.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_an_unknown_history_item_invalidates_the_state() {
    let fixture = fixture().await;
    fixture.store.append_events(vec![event(8, "u1", "later", 4_500_000)]).await.unwrap();
    let unknown = fixture.state("u1", LATER).await;
    assert_eq!((unknown.cached, unknown.state.history_len), (false, 5));
    assert!(fixture.state("u1", LATER).await.cached);
    fixture.write(vec![item("other", "an item that has nothing to do with it")]).await;
    assert!(fixture.state("u1", LATER).await.cached);
    fixture.write(vec![item("later", "a blue book")]).await;
    let known = fixture.state("u1", LATER).await;
    assert!(!known.cached);
    assert_ne!(known.state, unknown.state);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_profile_invalidates_the_state() {
    let fixture = fixture().await;
    let features = BTreeMap::from([("country".to_owned(), "de".into())]);
    let user = User { user_id: UserId::from("u1"), features };
    fixture.store.put_users(vec![user]).await.unwrap();
    assert!(!fixture.state("u1", LATER).await.cached);
    assert!(fixture.state("u1", LATER).await.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_made_from_outdated_records_is_not_cached() {
    let fixture = fixture().await;
    let old = fixture.state("u1", LATER).await;
    fixture.write(vec![item("i4", "blue blue lamp")]).await;
    let view = fixture.user("u1", LATER).await;
    let cached = fixture.encoding.user_state(&view, LATER, Deadline::NONE, Tiers::Cached);
    let cached = cached.await.unwrap();
    assert!(!cached.cached);
    assert_eq!(cached.state, old.state, "the row of `i4` is that of before");
    let whole = fixture.state("u1", LATER).await;
    assert!(!whole.cached);
    assert_ne!(whole.state, old.state);
}
