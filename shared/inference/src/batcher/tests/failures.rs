//! Failures of one entry, and what they cost the others of its batch.

use super::*;
use plugrank_contract::Deadline;

#[tokio::test]
async fn a_panic_or_a_failed_run_ends_only_its_batch() {
    let fixture = fixture(1, false);
    let panicked = fixture.batcher.run(entry(vec![POISON]), Deadline::NONE).await.unwrap_err();
    assert!(matches!(&panicked, BatchError::Failed(why) if why.contains("poisoned")), "{panicked}");
    let failed = fixture.batcher.run(entry(vec![WRONG]), Deadline::NONE).await.unwrap_err();
    assert_eq!(failed, BatchError::Failed("wrong".to_owned()));
    assert!(fixture.batcher.alive());
    assert_eq!(fixture.batcher.run(entry(vec![4]), Deadline::NONE).await.unwrap().output, [8]);
    let reports = fixture.reports.batches.lock();
    let succeeded: Vec<bool> = reports.iter().map(|report| report.succeeded).collect();
    assert_eq!(succeeded, [false, false, true]);
}

/// Runs entries that come while a batch runs, and so make one batch together.
async fn together(fixture: &Fixture, entries: Vec<Vec<u64>>) -> Vec<Result<Vec<u64>, BatchError>> {
    let gate = fixture.gate.as_ref().unwrap();
    let count = entries.len();
    let first = fixture.batcher.run(entry(vec![1]), Deadline::NONE);
    let calls = async {
        wait_until(|| fixture.begun()).await;
        let calls =
            entries.into_iter().map(|numbers| fixture.batcher.run(entry(numbers), Deadline::NONE));
        futures::future::join_all(calls).await
    };
    let opened = async {
        wait_until(|| fixture.batcher.waiting() == count).await;
        // The run before, the batch, and each of its entries alone.
        (0..count + 2).for_each(|_| gate.send(()).unwrap());
    };
    let (first, answers, ()) = tokio::join!(first, calls, opened);
    first.unwrap();
    answers.into_iter().map(|answer| answer.map(|ran| ran.output)).collect()
}

#[tokio::test]
async fn entries_of_a_failed_batch_are_retried_alone() {
    for (bad, reason) in [(WRONG, "wrong"), (POISON, "it panicked: poisoned")] {
        let fixture = fixture(1, true);
        let answers = together(&fixture, vec![vec![2], vec![3, bad], vec![4, 5]]).await;
        assert_eq!(answers[0], Ok(vec![4]));
        assert_eq!(answers[1], Err(BatchError::Failed(reason.to_owned())));
        assert_eq!(answers[2], Ok(vec![8, 10]));
        let reports = fixture.reports.batches.lock();
        let told: Vec<_> =
            reports.iter().map(|report| (report.reason, report.rows, report.succeeded)).collect();
        let retried = CloseReason::Retried;
        assert!(!told[1].2 && told[1].1 == 5, "{told:?}");
        // Batches hold their entries in no order.
        assert_eq!(told.len(), 5);
        assert_eq!(told[2..].iter().filter(|one| **one == (retried, 2, false)).count(), 1);
        assert_eq!(told[2..].iter().filter(|one| one.0 == retried && one.2).count(), 2);
        assert_eq!(fixture.batcher.backlog(), Duration::ZERO);
    }
}

#[tokio::test]
async fn a_failure_of_the_model_is_not_retried() {
    let fixture = fixture(1, true);
    let answers = together(&fixture, vec![vec![2], vec![3, AWAY]]).await;
    assert_eq!(answers, [(); 2].map(|()| Err(BatchError::Failed("away".to_owned()))));
    assert_eq!(fixture.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_unreadable_entry_fails_alone_in_its_batch() {
    let fixture = fixture(1, true);
    let answers = together(&fixture, vec![vec![2], vec![3, UNREADABLE], vec![4]]).await;
    assert_eq!(answers[0], Ok(vec![4]));
    assert_eq!(answers[1], Err(BatchError::Failed("unreadable".to_owned())));
    assert_eq!(answers[2], Ok(vec![8]));
    assert_eq!(fixture.begun.load(Ordering::SeqCst), 2, "one run for all three");
}
