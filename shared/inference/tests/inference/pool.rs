//! Workers that own sessions.

use std::sync::Arc;

use plugrank_bundle::GraphName;
use plugrank_contract::Deadline;
use plugrank_inference::{InferenceError, Session, Tensor, TensorData, WorkerPool};

use crate::bundle_copy::session;

fn logits(session: &mut Session, item: i64) -> Result<Vec<f64>, InferenceError> {
    let users = Tensor { shape: vec![1], data: TensorData::I64(vec![2]) };
    let items = Tensor { shape: vec![1, 2], data: TensorData::I64(vec![item, 2]) };
    let outputs = session.run(&[("user_id", &users), ("item_id", &items)])?;
    Ok(outputs[0].data.to_f64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_sessions_equals_one_and_survives_panics_and_invalid_inputs() {
    let sessions = vec![session(GraphName::Idrec), session(GraphName::Idrec)];
    let pool = Arc::new(WorkerPool::start("encode", sessions, 64).unwrap());
    let expected: Vec<_> =
        (2..8).map(|item| logits(&mut session(GraphName::Idrec), item).unwrap()).collect();
    let calls = (0..60).map(|call: usize| {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            let item = 2 + call as i64 % 6;
            let answer = pool.submit(Deadline::NONE, move |session| match call % 10 {
                3 => panic!("a bad job"),
                7 => logits(session, 1_000_000),
                _ => logits(session, item),
            });
            (call, answer.await)
        })
    });
    for call in futures::future::join_all(calls).await {
        let (call, answer) = call.unwrap();
        match (call % 10, answer) {
            (3, answer) => assert!(matches!(answer, Err(InferenceError::Panicked(_)))),
            (7, answer) => assert!(matches!(answer, Err(InferenceError::Run(_)))),
            (_, answer) => assert_eq!(answer.unwrap(), expected[call % 6]),
        }
    }
    let counts = pool.counts();
    assert_eq!((counts.ran, counts.panicked, counts.refused), (54, 6, 0));
    assert!(pool.alive());
}
