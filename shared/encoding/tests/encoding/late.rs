//! Answers when the store is slow, and without reading it.

use std::{sync::Arc, time::Duration};

use plugrank_contract::Deadline;
use plugrank_contract::{
    UserId, UserRead,
    embedding::{RecordOrigin, Tiers},
};
use plugrank_encoding::{Encoding, EncodingOptions, UnifiedInputs};
use plugrank_store::Store;
use tokio::time::Instant;

use crate::{
    fixture::{Fixture, all, encoding, event, ids, item, list, origins, rows},
    slow_store::SlowStore,
};

const LATER: i64 = 5_000_000;
const BUDGET: Duration = Duration::from_millis(500);
/// A margin that a busy machine can keep.
const MARGIN: Duration = Duration::from_millis(100);
/// Longer than any budget here: the store hangs.
const STOPPED: Duration = Duration::from_secs(3600);

struct Slow {
    store: Arc<SlowStore>,
    encoding: Arc<Encoding>,
    fixture: Fixture,
}

impl Slow {
    async fn new() -> Self {
        let fixture = Fixture::new(EncodingOptions::default()).await;
        let store = SlowStore::new(Arc::clone(&fixture.store));
        let behind: Arc<dyn Store> = store.clone();
        let encoding = encoding(&behind, EncodingOptions::default()).await;
        Self { store, encoding, fixture }
    }

    async fn fetch(&self, tiers: Tiers) -> UnifiedInputs {
        self.fetch_for(&UserRead::NotRead, tiers).await
    }

    async fn fetch_for(&self, user: &UserRead, tiers: Tiers) -> UnifiedInputs {
        let items = list(&["i1", "i2", "nobody"]);
        let begun = Instant::now();
        let limit = Deadline::at(begun + BUDGET).less(MARGIN, 0.25);
        let user = (&UserId::from("u1"), user);
        let inputs = self.encoding.unified_inputs(&items, user, LATER, limit, tiers).await;
        assert!(begun.elapsed() < BUDGET, "{:?}", begun.elapsed());
        inputs.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_store_leaves_cached_records_and_an_unknown_user() {
    let slow = Slow::new().await;
    let whole = slow.fetch(Tiers::All).await;
    assert_eq!(whole.late, None);
    slow.store.delay(STOPPED);
    let late = slow.fetch(Tiers::All).await;
    let why = late.late.as_deref().unwrap();
    assert!(why.contains("u1") && why.contains("in time"), "{why}");
    assert_eq!(rows(&late.records), rows(&whole.records));
    assert_eq!(late.user.state.history_len, 0);
    let width = |inputs: &UnifiedInputs| inputs.user.state.outputs[1].data.len();
    assert_eq!(width(&late), width(&whole));
    slow.store.delay(Duration::ZERO);
    let again = slow.fetch(Tiers::All).await;
    assert_eq!((again.late, again.user.state.history_len), (None, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_from_the_start_leaves_missing_records() {
    let slow = Slow::new().await;
    slow.store.delay(STOPPED);
    let late = slow.fetch(Tiers::All).await;
    assert!(late.late.is_some() && all(&late.records, RecordOrigin::Missing));
    assert_eq!(late.records.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_user_has_a_state_of_missing_records_when_the_store_hangs() {
    let slow = Slow::new().await;
    let user = UserRead::Read(slow.fixture.user("u1", LATER).await);
    slow.store.delay(STOPPED);
    let late = slow.fetch_for(&user, Tiers::All).await;
    assert!(late.late.unwrap().contains("records"));
    assert_eq!((late.user.state.history_len, late.user.cached), (4, false));
    let limit = Deadline::after(BUDGET).less(MARGIN, 0.25);
    let UserRead::Read(view) = &user else { unreachable!() };
    let alone = slow.encoding.user_state(view, LATER, limit, Tiers::All).await.unwrap();
    assert!(alone.late.unwrap().contains("records"), "records of the history alone");
    let again = slow.fetch_for(&user, Tiers::All).await;
    assert!(!again.user.cached, "it must not be cached");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cached_tier_equals_all_tiers_when_everything_is_cached() {
    let slow = Slow::new().await;
    let cold = slow.fetch(Tiers::Cached).await;
    assert_eq!(cold.late, None, "nothing was asked for that did not come");
    assert!(all(&cold.records, RecordOrigin::Missing));
    assert_eq!(cold.user.state.history_len, 4, "the history is read");
    let whole = slow.fetch(Tiers::All).await;
    let cached = slow.fetch(Tiers::Cached).await;
    let (memory, missing) = (RecordOrigin::Memory, RecordOrigin::Missing);
    assert_eq!(origins(&cached.records), [memory, memory, missing]);
    assert_eq!(rows(&cached.records), rows(&whole.records));
    assert_eq!(cached.user.state, whole.user.state);
    assert!(cached.user.cached, "the state made through all tiers is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_made_without_a_record_of_a_known_item_is_not_cached() {
    let slow = Slow::new().await;
    slow.fetch(Tiers::All).await;
    slow.store.append_events(vec![event(8, "u1", "i5", 4_500_000)]).await.unwrap();
    let cached = slow.fetch(Tiers::Cached).await.user;
    assert_eq!((cached.state.history_len, cached.cached), (5, false));
    let whole = slow.fetch(Tiers::All).await.user;
    assert!(!whole.cached);
    assert_ne!(whole.state, cached.state, "the fifth item had no record in the table");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalidated_item_is_not_cached() {
    let slow = Slow::new().await;
    slow.fetch(Tiers::All).await;
    slow.store.put_items(vec![item("i1", "a changed title")]).await.unwrap();
    slow.encoding.invalidate(&ids(&["i1"])).await.unwrap();
    let cached = slow.fetch(Tiers::Cached).await;
    let (memory, missing) = (RecordOrigin::Memory, RecordOrigin::Missing);
    assert_eq!(origins(&cached.records), [missing, memory, missing]);
}
