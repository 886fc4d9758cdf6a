//! Runs on the thread of the caller.

use super::*;
use plugrank_contract::Deadline;

/// Longer than any run of the model here.
const LONG: Duration = Duration::from_secs(1);

fn in_place(workers: usize, gated: bool) -> Arc<Fixture> {
    Arc::new(started(workers, gated, LONG, true))
}

#[tokio::test]
async fn a_single_entry_runs_on_its_callers_thread() {
    let fixture = in_place(1, false);
    let here = std::thread::current().name().unwrap_or_default().to_owned();
    let ran = fixture.batcher.run(entry(vec![1, 2]), Deadline::NONE).await.unwrap();
    assert_eq!((ran.output, ran.batch_rows), (vec![2, 4], 8));
    let ran = fixture.batcher.run_all(vec![entry(vec![3])], Deadline::NONE).await.unwrap();
    assert_eq!(ran[0].output, [6]);
    assert_eq!(*fixture.threads.lock(), [here.clone(), here]);
    // Of several parts the first: the others go to the workers.
    fixture.batcher.run_all(vec![entry(vec![1]), entry(vec![2])], Deadline::NONE).await.unwrap();
    assert_eq!(fixture.threads.lock().last().unwrap(), "test-0");
    let reports = fixture.reports.batches.lock();
    assert_eq!((reports[0].reason, reports[0].rows), (CloseReason::WorkerIdle, 2));
    assert_eq!(reports[0].oldest, Duration::ZERO);
}

#[tokio::test]
async fn runs_that_are_long_or_not_allowed_in_place_go_to_workers() {
    for fixture in [
        started(1, false, Duration::from_nanos(1), true),
        started(1, false, Duration::ZERO, true),
        started(1, false, LONG, false),
    ] {
        fixture.batcher.run(entry(vec![1]), Deadline::NONE).await.unwrap();
        assert_eq!(*fixture.threads.lock(), ["test-0"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_model_busy_an_entry_waits() {
    let fixture = in_place(1, true);
    let call = |number: u64| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.batcher.run(entry(vec![number]), Deadline::NONE).await })
    };
    let first = call(1);
    wait_until(|| fixture.begun()).await;
    assert!(fixture.batcher.backlog() <= LONG);
    let second = call(2);
    wait_until(|| fixture.batcher.waiting() == 1).await;
    assert!(fixture.batcher.backlog() > Duration::ZERO);
    let gate = fixture.gate.as_ref().unwrap();
    (0..2).for_each(|_| gate.send(()).unwrap());
    assert_eq!(first.await.unwrap().unwrap().output, [2]);
    assert_eq!(second.await.unwrap().unwrap().output, [4]);
    assert_eq!(fixture.threads.lock()[1], "test-0");
    wait_until(|| fixture.batcher.backlog() == Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_place_does_not_block_other_models() {
    let fixture = in_place(2, true);
    let call = |number: u64| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.batcher.run(entry(vec![number]), Deadline::NONE).await })
    };
    let first = call(1);
    wait_until(|| fixture.begun()).await;
    let second = call(2);
    wait_until(|| fixture.begun.load(Ordering::SeqCst) == 2).await;
    let gate = fixture.gate.as_ref().unwrap();
    (0..2).for_each(|_| gate.send(()).unwrap());
    assert_eq!(first.await.unwrap().unwrap().output, [2]);
    assert_eq!(second.await.unwrap().unwrap().output, [4]);
    let threads = fixture.threads.lock();
    assert!(threads[1].starts_with("test-"), "{threads:?}");
}

#[tokio::test]
async fn a_panic_returns_the_model() {
    let fixture = in_place(1, false);
    let error = fixture.batcher.run(entry(vec![POISON]), Deadline::NONE).await.unwrap_err();
    assert_eq!(error, BatchError::Failed("it panicked: poisoned".to_owned()));
    let error = fixture.batcher.run(entry(vec![UNREADABLE]), Deadline::NONE).await.unwrap_err();
    assert_eq!(error, BatchError::Failed("unreadable".to_owned()));
    assert_eq!(fixture.batcher.run(entry(vec![4]), Deadline::NONE).await.unwrap().output, [8]);
    let threads = fixture.threads.lock();
    assert!(threads.iter().all(|thread| thread != "test-0"), "{threads:?}");
}

#[tokio::test]
async fn expired_entries_do_not_run() {
    let fixture = in_place(1, false);
    let error =
        fixture.batcher.run(entry(vec![1]), Deadline::after(Duration::ZERO)).await.unwrap_err();
    assert_eq!(error, BatchError::Expired);
    assert_eq!(fixture.begun.load(Ordering::SeqCst), 0);
    assert_eq!(*fixture.reports.left.lock(), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_and_workers_share_models_without_losing_entries() {
    let fixture = in_place(2, false);
    let callers = (0..8_u64).map(|caller| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            for round in 0..300 {
                let numbers: Vec<u64> = (0..=round % 9).map(|at| caller * 100 + at).collect();
                let expected: Vec<u64> = numbers.iter().map(|number| number * 2).collect();
                let deadline = Deadline::after(Duration::from_secs(20));
                let parts = if round % 7 == 0 {
                    vec![entry(numbers.clone()), entry(numbers)]
                } else {
                    vec![entry(numbers)]
                };
                for ran in fixture.batcher.run_all(parts, deadline).await.unwrap() {
                    assert_eq!(ran.output, expected);
                }
                tokio::task::yield_now().await;
            }
        })
    });
    for caller in futures::future::join_all(callers).await {
        caller.unwrap();
    }
    let rows: usize = fixture.ran.lock().iter().sum();
    let reports = fixture.reports.batches.lock();
    assert_eq!(reports.iter().map(|report| report.rows).sum::<usize>(), rows);
    assert_eq!((fixture.batcher.waiting(), fixture.batcher.backlog()), (0, Duration::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_halves_one_runs_in_place_and_one_on_a_worker() {
    let fixture = in_place(2, true);
    let whole = Dims { candidates: 8, history: 1 };
    assert!(fixture.batcher.halves(whole));
    let call = {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move {
            let halves = vec![entry(vec![1, 2]), entry(vec![3, 4])];
            fixture.batcher.run_all(halves, Deadline::NONE).await
        })
    };
    // Both wait at the gate: they run at a time.
    wait_until(|| fixture.begun.load(Ordering::SeqCst) == 2).await;
    assert!(!fixture.batcher.halves(whole), "no model is idle");
    let gate = fixture.gate.as_ref().unwrap();
    (0..2).for_each(|_| gate.send(()).unwrap());
    let ran = call.await.unwrap().unwrap();
    assert_eq!((&*ran[0].output, &*ran[1].output), (&[2, 4][..], &[6, 8][..]));
    let threads = fixture.threads.lock().clone();
    assert_eq!(threads.iter().filter(|name| name.starts_with("test-")).count(), 1, "{threads:?}");
    wait_until(|| fixture.batcher.halves(whole)).await;
}

#[tokio::test]
async fn a_single_model_runs_nothing_in_halves() {
    assert!(!in_place(1, false).batcher.halves(Dims { candidates: 8, history: 1 }));
}
