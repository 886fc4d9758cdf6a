//! What is scored when the embedding service or the store is late.

use std::{sync::Arc, time::Duration};

use plugrank_contract::{
    CallError, Context, ErrorCode,
    embedding::{Fetch, Fetched, Tiers},
    scoring::{ModelKind, Score},
};
use plugrank_store::Store;
use plugrank_transport::Service;
use tokio::time::Instant;

use crate::{
    bench::{Bench, call, options, scoring},
    slow_store::SlowStore,
};

/// Room that a busy machine needs.
const BUDGET: Duration = Duration::from_millis(800);

/// An embedding service that does not answer.
struct Hanging;

#[async_trait::async_trait]
impl Service<Fetch> for Hanging {
    async fn call(&self, _: Context, _: Fetch) -> Result<Fetched, CallError> {
        std::future::pending().await
    }
}

fn with_margin() -> plugrank_scoring::ScoringOptions {
    plugrank_scoring::ScoringOptions { answer_margin: Duration::from_millis(200), ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedding_service_that_hangs_leaves_time_for_idrec() {
    let bench = Bench::new().await;
    let service = scoring(&bench.bundle, &bench.store, Arc::new(Hanging), with_margin());
    let begun = Instant::now();
    let asked = call("u3", [1, 2, 3]);
    let scored = service.call(Context::background().within(BUDGET), asked.clone()).await.unwrap();
    assert!(begun.elapsed() < BUDGET, "{:?}", begun.elapsed());
    assert_eq!(scored.model, ModelKind::Idrec);
    assert_eq!(scored.fell.unwrap().code, ErrorCode::DeadlineExceeded);
    let idrec = bench.score(Score { model: ModelKind::Idrec, ..asked }).await.unwrap();
    assert_eq!((scored.ctr, idrec.fell), (idrec.ctr, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stopped_leaves_idrec_without_history() {
    let bench = Bench::new().await;
    let store = SlowStore::new(Arc::clone(&bench.store));
    let behind: Arc<dyn Store> = store.clone();
    let service = scoring(&bench.bundle, &behind, bench.embedding.clone(), with_margin());
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
async fn held_vectors_score_like_all_once_they_are_held() {
    let bench = Bench::new().await;
    let held = Score { tiers: Tiers::Held, ..call("u3", [1, 2, 3]) };
    let cold = bench.score(held.clone()).await.unwrap();
    assert_eq!((cold.coverage.missing, cold.late), (3, None));
    let whole = bench.score(call("u3", [1, 2, 3])).await.unwrap();
    let warm = bench.score(held).await.unwrap();
    assert_eq!((warm.coverage.memory, warm.model), (3, ModelKind::Unified));
    assert_eq!(warm.ctr, whole.ctr);
    assert_ne!(cold.ctr, whole.ctr);
}
