//! A worker whose run of the graph never ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use parking_lot::Mutex;
use plugrank_bundle::GraphName;
use plugrank_contract::{Context, Deadline, ErrorCode, scoring::ModelKind};
use plugrank_inference::{InferenceError, RemoteGraph, Session, SessionOptions, Tensor};
use plugrank_scoring::{RemoteModel, ScoringOptions, ScoringParts, ScoringService};
use plugrank_transport::Service;

use crate::fixture::{Fixture, call, library, near, options, scoring};

/// Room that a busy machine needs.
const BUDGET: Duration = Duration::from_millis(800);

/// The bundle's graph in real sessions, of which as many runs hang as `hangs` says.
struct Hanging {
    sessions: Vec<Mutex<Session>>,
    hangs: AtomicUsize,
    hung: AtomicUsize,
    /// Until the other end is dropped.
    held: Mutex<mpsc::Receiver<()>>,
}

impl RemoteGraph for Hanging {
    fn available(&self) -> Result<(), InferenceError> {
        Ok(())
    }

    fn run(&self, inputs: &[(&str, &Tensor)], _: Deadline) -> Result<Vec<Tensor>, InferenceError> {
        let less = |hangs: usize| hangs.checked_sub(1);
        if self.hangs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            self.hung.fetch_add(1, Ordering::SeqCst);
            let _ended = self.held.lock().recv();
            return Err(InferenceError::Remote("the test ended".to_owned()));
        }
        let mut free = self.sessions.iter().filter_map(Mutex::try_lock);
        free.next().unwrap().run(inputs)
    }
}

struct Pool {
    // Dropped before the service, which waits for its workers.
    _release: mpsc::Sender<()>,
    service: Arc<ScoringService>,
    graph: Arc<Hanging>,
}

/// A service with `workers` workers; none hangs yet.
fn pool(fixture: &Fixture, workers: usize) -> Pool {
    let path = fixture.bundle.graph_path(GraphName::Unified).unwrap();
    let session = || Session::load(&library(), &path, SessionOptions::default()).unwrap();
    let (release, held) = mpsc::channel();
    let graph = Arc::new(Hanging {
        sessions: (0..workers).map(|_| Mutex::new(session())).collect(),
        hangs: AtomicUsize::new(0),
        hung: AtomicUsize::new(0),
        held: Mutex::new(held),
    });
    let service = scoring(ScoringParts {
        options: ScoringOptions { workers, margin_us: 200_000, ..options() },
        remote: Some(RemoteModel { server: graph.clone(), reached: true }),
        ..fixture.parts()
    });
    Pool { _release: release, service, graph }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_workers_continue_when_one_hangs() {
    let fixture = Fixture::new().await;
    let pool = pool(&fixture, 2);
    pool.graph.hangs.store(1, Ordering::SeqCst);
    let stuck = {
        let service = Arc::clone(&pool.service);
        let call = call("u2", 1..=8);
        tokio::spawn(async move { service.call(Context::background().within(BUDGET), call).await })
    };
    while pool.graph.hung.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Many rounds, also while the first request still waits: none falls back to another model.
    for round in 0..60_usize {
        let asked = call(&format!("u{}", round % 6 + 1), 1..=20);
        let expected = fixture.score(asked.clone()).await.unwrap();
        let context = Context::background().within(BUDGET);
        let scored = pool.service.call(context, asked).await.unwrap();
        assert_eq!((scored.model, scored.fell), (ModelKind::Unified, None), "round {round}");
        near(&scored.ctr, &expected.ctr, 1e-5);
    }
    // The request that was in the hanging run is answered all the same, within its budget.
    let scored = stuck.await.unwrap().unwrap();
    assert_eq!(scored.model, ModelKind::Idrec);
    assert_eq!(scored.fell.unwrap().code, ErrorCode::DeadlineExceeded);
    assert_eq!(pool.graph.hung.load(Ordering::SeqCst), 1);
    assert!(pool.service.alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_hang_the_id_based_model_answers_within_the_budget() {
    let fixture = Fixture::new().await;
    let pool = pool(&fixture, 2);
    pool.graph.hangs.store(usize::MAX, Ordering::SeqCst);
    let asked = (0..12).map(|number| {
        let call = call(&format!("u{}", number % 6 + 1), 1..=20);
        // An answer after the deadline would be an error.
        pool.service.call(Context::background().within(BUDGET), call)
    });
    for scored in futures::future::join_all(asked).await {
        let scored = scored.unwrap();
        assert_eq!(scored.model, ModelKind::Idrec);
        assert_eq!(scored.fell.unwrap().code, ErrorCode::DeadlineExceeded);
    }
    assert_eq!(pool.graph.hung.load(Ordering::SeqCst), 2, "one run a worker");
}
