//! What a fetch answers when the store is slow, and when it is not asked at all.

use std::{sync::Arc, time::Duration};

use plugrank_contract::{
    Context, UserId,
    embedding::{Fetch, Fetched, RecordOrigin, Tiers},
};
use plugrank_embedding::{EmbeddingOptions, EmbeddingService};
use plugrank_store::Store;
use plugrank_transport::Service;
use tokio::time::Instant;

use crate::{
    bench::{Bench, all, event, ids, item, service},
    slow_store::SlowStore,
};

const LATER: i64 = 5_000_000;
const BUDGET: Duration = Duration::from_millis(500);
/// Longer than any budget here: the store has stopped.
const STOPPED: Duration = Duration::from_secs(3600);

struct Slow {
    store: Arc<SlowStore>,
    service: Arc<EmbeddingService>,
    _bench: Bench,
}

impl Slow {
    async fn new() -> Self {
        let bench = Bench::new(Default::default()).await;
        let store = SlowStore::new(Arc::clone(&bench.store));
        let behind: Arc<dyn Store> = store.clone();
        // A margin that a busy machine can keep.
        let answer_margin = Duration::from_millis(100);
        let options = EmbeddingOptions { answer_margin, ..EmbeddingOptions::default() };
        let service = service(&behind, options);
        service.warm_up().await.unwrap();
        Self { store, service, _bench: bench }
    }

    async fn fetch(&self, tiers: Tiers) -> Fetched {
        let user = Some((UserId::from("u1"), LATER));
        let call = Fetch { item_ids: ids(&["i1", "i2", "nobody"]), user, tiers };
        let begun = Instant::now();
        let fetched = self.service.call(Context::background().within(BUDGET), call).await.unwrap();
        assert!(begun.elapsed() < BUDGET, "{:?}", begun.elapsed());
        fetched
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stopped_leaves_what_is_held_and_a_nobody() {
    let slow = Slow::new().await;
    let whole = slow.fetch(Tiers::All).await;
    assert_eq!(whole.late, None);
    slow.store.delay(STOPPED);
    let late = slow.fetch(Tiers::All).await;
    let why = late.late.as_deref().unwrap();
    assert!(why.contains("u1") && why.contains("store"), "{why}");
    assert_eq!(late.items, whole.items);
    let user = late.user.unwrap();
    assert_eq!(user.history_len, 0);
    let shape = |outputs: &[plugrank_contract::Matrix]| -> Vec<_> {
        outputs.iter().map(|one| (one.rows(), one.dim())).collect()
    };
    assert_eq!(shape(&user.outputs)[1], shape(&whole.user.unwrap().outputs)[1]);
    slow.store.delay(Duration::ZERO);
    let again = slow.fetch(Tiers::All).await;
    assert_eq!((again.late, again.user.unwrap().history_len), (None, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stopped_before_anything_was_read_leaves_missing_records() {
    let slow = Slow::new().await;
    slow.store.delay(STOPPED);
    let late = slow.fetch(Tiers::All).await;
    assert!(late.late.is_some() && all(&late, RecordOrigin::Missing));
    assert_eq!(late.items.rows(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_held_tier_waits_for_no_vector_and_equals_the_whole_when_all_is_held() {
    let slow = Slow::new().await;
    let cold = slow.fetch(Tiers::Held).await;
    assert_eq!(cold.late, None, "nothing was asked for that did not come");
    assert!(all(&cold, RecordOrigin::Missing));
    assert_eq!(cold.user.unwrap().history_len, 4, "the history is read");
    let whole = slow.fetch(Tiers::All).await;
    let held = slow.fetch(Tiers::Held).await;
    let (memory, missing) = (RecordOrigin::Memory, RecordOrigin::Missing);
    assert_eq!(held.origins, [memory, memory, missing]);
    assert_eq!(held.items, whole.items);
    let (held, whole) = (held.user.unwrap(), whole.user.unwrap());
    assert_eq!(held.outputs, whole.outputs);
    assert!(held.cached, "the state made through all tiers is found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_made_from_what_is_held_is_not_kept() {
    let slow = Slow::new().await;
    slow.fetch(Tiers::All).await;
    slow.store.append_events(vec![event(8, "u1", "i5", 4_500_000)]).await.unwrap();
    let held = slow.fetch(Tiers::Held).await.user.unwrap();
    assert_eq!((held.history_len, held.cached), (5, false));
    let whole = slow.fetch(Tiers::All).await.user.unwrap();
    assert!(!whole.cached);
    assert_ne!(whole.outputs, held.outputs, "the fifth item had no record in memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_item_is_not_held() {
    let slow = Slow::new().await;
    slow.fetch(Tiers::All).await;
    slow.store.put_items(vec![item("i1", "a changed title")]).await.unwrap();
    let call = plugrank_contract::embedding::Invalidate { item_ids: ids(&["i1"]) };
    slow.service.call(Context::background(), call).await.unwrap();
    let held = slow.fetch(Tiers::Held).await;
    assert_eq!(held.origins[..2], [RecordOrigin::Missing, RecordOrigin::Memory]);
}
