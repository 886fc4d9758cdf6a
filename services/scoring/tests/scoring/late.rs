//! Scoring when the embedding role or the store is late.

use std::{sync::Arc, time::Duration};

use plugrank_contract::{
    CallError, Context, ErrorCode, UserRead,
    embedding::{Fetch, Fetched, Tiers},
    scoring::{ModelKind, Score},
};
use plugrank_scoring::{ScoringOptions, ScoringParts};
use plugrank_store::Store;
use plugrank_transport::Service;
use tokio::time::Instant;

use crate::{
    fixture::{Fixture, LATER, call, options, scoring},
    slow_store::SlowStore,
};

/// Room that a busy machine needs.
const BUDGET: Duration = Duration::from_millis(800);

/// An embedding role that does not answer.
struct Hanging;

#[async_trait::async_trait]
impl Service<Fetch> for Hanging {
    async fn call(&self, _: Context, _: Fetch) -> Result<Fetched, CallError> {
        std::future::pending().await
    }
}

fn with_margin() -> ScoringOptions {
    ScoringOptions { margin_us: 200_000, ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_embedding_role_leaves_time_for_idrec() {
    let fixture = Fixture::new().await;
    let service = fixture.beside(Arc::new(Hanging), with_margin());
    let begun = Instant::now();
    let asked = call("u3", [1, 2, 3]);
    let scored = service.call(Context::background().within(BUDGET), asked.clone()).await.unwrap();
    assert!(begun.elapsed() < BUDGET, "{:?}", begun.elapsed());
    assert_eq!(scored.model, ModelKind::Idrec);
    assert_eq!(scored.fell.unwrap().code, ErrorCode::DeadlineExceeded);
    let idrec = fixture.score(Score { model: ModelKind::Idrec, ..asked }).await.unwrap();
    assert_eq!((scored.ctr, idrec.fell), (idrec.ctr, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_store_leaves_idrec_without_history() {
    let fixture = Fixture::new().await;
    let store = SlowStore::new(Arc::clone(&fixture.store));
    let behind: Arc<dyn Store> = store.clone();
    let parts = ScoringParts { store: behind, options: with_margin(), ..fixture.parts() };
    let service = scoring(parts);
    let idrec = Score { model: ModelKind::Idrec, ..call("u4", [1, 2]) };
    let context = || Context::background().within(BUDGET);
    let whole = service.call(context(), idrec.clone()).await.unwrap();
    assert_eq!((whole.coverage.history, whole.late), (4, None));
    store.delay(Duration::from_secs(3600));
    let late = service.call(context(), idrec).await.unwrap();
    assert_eq!((late.model, late.coverage.history), (ModelKind::Idrec, 0));
    assert!(late.late.unwrap().contains("u4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_read_by_an_earlier_stage_is_not_read_again() {
    let fixture = Fixture::new().await;
    let asked = Score { model: ModelKind::Idrec, ..call("u4", [1, 2]) };
    let expected = fixture.score(asked.clone()).await.unwrap();
    let view = fixture.store.user_view(&asked.user_id, LATER, fixture.encoding.users().limits());
    let view = view.await.unwrap();
    let store = SlowStore::new(Arc::clone(&fixture.store));
    let behind: Arc<dyn Store> = store.clone();
    let service = scoring(ScoringParts { store: behind, ..fixture.parts() });
    let reads = store.reads();
    let given = Score { user: UserRead::Read(view), ..asked.clone() };
    let scored = service.call(Context::background(), given).await.unwrap();
    assert_eq!((scored.ctr, scored.coverage.history), (expected.ctr, 4));
    let failed = Score { user: UserRead::Failed("it is unavailable".to_owned()), ..asked };
    let scored = service.call(Context::background(), failed).await.unwrap();
    assert_eq!((scored.late.as_deref(), scored.coverage.history), (Some("it is unavailable"), 0));
    assert_eq!(store.reads(), reads);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cached_tier_equals_all_tiers_once_vectors_are_cached() {
    let fixture = Fixture::new().await;
    let cached = Score { tiers: Tiers::Cached, ..call("u3", [1, 2, 3]) };
    let cold = fixture.score(cached.clone()).await.unwrap();
    assert_eq!((cold.coverage.missing, cold.late), (3, None));
    let whole = fixture.score(call("u3", [1, 2, 3])).await.unwrap();
    let warm = fixture.score(cached).await.unwrap();
    assert_eq!((warm.coverage.memory, warm.model), (3, ModelKind::Unified));
    assert_eq!(warm.ctr, whole.ctr);
    assert_ne!(cold.ctr, whole.ctr);
}
