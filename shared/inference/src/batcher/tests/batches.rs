//! Composition of batches, and entries that leave without running.

use plugrank_contract::Deadline;
use proptest::prelude::*;

use super::*;

proptest! {
    // Each case starts threads: a sixth of what other properties get.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 6))]

    /// Every request gets its own rows in its own order, and no row runs twice or not at all.
    #[test]
    fn each_request_gets_its_own_rows(
        sizes in prop::collection::vec(prop::collection::vec(1usize..=32, 1..4), 1..60),
        workers in 1usize..4,
    ) {
        let fixture = fixture(workers, false);
        let rows: usize = sizes.iter().flatten().sum();
        let requests: Vec<Vec<Vec<u64>>> = sizes
            .iter()
            .enumerate()
            .map(|(number, parts)| {
                let numbers = |part: usize, size: usize| (0..size).map(|at| (number * 10_000 + part * 100 + at) as u64 * 7 + 1).collect();
                parts.iter().enumerate().map(|(part, size)| numbers(part, *size)).collect()
            })
            .collect();
        let clean = |number: &u64| *number != POISON && *number != WRONG;
        prop_assume!(requests.iter().flatten().flatten().all(clean));
        let calls = requests.iter().map(|parts| {
            fixture.batcher.run_all(parts.iter().cloned().map(entry).collect(), Deadline::NONE)
        });
        let answers = block_on(futures::future::join_all(calls));
        for (parts, answer) in requests.iter().zip(answers) {
            let answer = answer.unwrap();
            prop_assert_eq!(answer.len(), parts.len());
            for (part, ran) in parts.iter().zip(answer) {
                let doubled: Vec<u64> = part.iter().map(|number| number * 2).collect();
                prop_assert_eq!(ran.output, doubled);
                prop_assert!(ran.batch_rows >= part.len() && ran.batch_rows <= 128);
            }
        }
        prop_assert_eq!(fixture.ran.lock().iter().sum::<usize>(), rows);
        let reports = fixture.reports.batches.lock();
        prop_assert_eq!(reports.iter().map(|report| report.rows).sum::<usize>(), rows);
        for report in reports.iter() {
            prop_assert!(report.rows <= report.padded_rows && report.padded_rows <= 128);
            prop_assert!((0.0..1.0).contains(&report.padding_share()));
        }
    }
}

#[tokio::test]
async fn entries_that_wait_while_a_batch_runs_form_one_batch() {
    let fixture = fixture(1, true);
    let gate = fixture.gate.as_ref().unwrap();
    let first = fixture.batcher.run(entry(vec![1]), Deadline::NONE);
    let others = async {
        wait_until(|| fixture.begun()).await;
        let calls = (0..8).map(|at| fixture.batcher.run(entry(vec![at]), Deadline::NONE));
        futures::future::join_all(calls).await
    };
    let opened = async {
        wait_until(|| fixture.batcher.waiting() == 8).await;
        gate.send(()).unwrap();
        gate.send(()).unwrap();
    };
    let (first, others, ()) = tokio::join!(first, others, opened);
    assert_eq!(first.unwrap().output, [2]);
    for (at, other) in others.into_iter().enumerate() {
        let other = other.unwrap();
        assert_eq!((other.output, other.batch_rows), (vec![at as u64 * 2], 64));
    }
    let reports = fixture.reports.batches.lock();
    assert_eq!(reports.len(), 2);
    assert_eq!((reports[1].reason, reports[1].entries), (CloseReason::RowLimit, 8));
    assert!(reports[1].oldest > Duration::ZERO);
}

#[tokio::test]
async fn the_backlog_covers_waiting_and_running_entries() {
    let fixture = fixture(1, true);
    let gate = fixture.gate.as_ref().unwrap();
    assert_eq!(fixture.batcher.backlog(), Duration::ZERO);
    let first = fixture.batcher.run(entry(vec![1]), Deadline::NONE);
    let others = async {
        wait_until(|| fixture.begun()).await;
        let calls = (0..20).map(|at| fixture.batcher.run(entry(vec![at]), Deadline::NONE));
        futures::future::join_all(calls).await
    };
    let opened = async {
        wait_until(|| fixture.batcher.waiting() == 20).await;
        let one = fixture.batcher.predict(Dims { candidates: 1, history: 1 }).unwrap();
        let backlog = fixture.batcher.backlog();
        // Twenty entries make three batches of up to eight.
        assert!(backlog > Duration::ZERO && one > Duration::ZERO, "{backlog:?}, {one:?}");
        (0..21).for_each(|_| gate.send(()).unwrap());
    };
    let (first, _, ()) = tokio::join!(first, others, opened);
    first.unwrap();
    wait_until(|| fixture.batcher.backlog() == Duration::ZERO).await;
}

#[tokio::test]
async fn cancelled_and_expired_entries_do_not_run() {
    let fixture = fixture(1, true);
    let gate = fixture.gate.as_ref().unwrap();
    let first = fixture.batcher.run(entry(vec![1]), Deadline::NONE);
    let soon = Deadline::after(Duration::from_millis(50));
    let late = async {
        wait_until(|| fixture.begun()).await;
        fixture.batcher.run(entry(vec![2; 8]), soon).await
    };
    let rest = async {
        wait_until(|| fixture.begun() && fixture.batcher.waiting() == 1).await;
        {
            let gone = fixture.batcher.run(entry(vec![3; 8]), Deadline::NONE);
            tokio::pin!(gone);
            tokio::select! {
                _ = &mut gone => panic!("the worker is busy"),
                () = wait_until(|| fixture.batcher.waiting() == 2) => {}
            }
        }
        tokio::time::sleep_until(soon.moment().unwrap() + Duration::from_millis(1)).await;
        gate.send(()).unwrap();
    };
    let (first, late, ()) = tokio::join!(first, late, rest);
    assert_eq!(first.unwrap().output, [2]);
    assert_eq!(late.unwrap_err(), BatchError::Expired);
    assert_eq!(*fixture.ran.lock(), [1]);
    // The worker reports them when it next reads the queue, after their callers got the error.
    let told = wait_until(|| *fixture.reports.left.lock() == (1, 1));
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
}

#[tokio::test]
async fn an_entry_larger_than_any_shape_is_refused() {
    let fixture = fixture(1, false);
    let error = fixture.batcher.run(entry(vec![1; 33]), Deadline::NONE).await.unwrap_err();
    assert_eq!(error, BatchError::TooLarge { what: "candidates", got: 33, largest: 32 });
    let history = Dims { candidates: 1, history: 2 };
    let entry = Entry { dims: history, input: vec![1] };
    let error = fixture.batcher.run(entry, Deadline::NONE).await.unwrap_err();
    assert!(error.to_string().contains("history entries"), "{error}");
}

#[test]
fn a_batcher_needs_a_model() {
    let buckets = Buckets::new(vec![1], vec![8], vec![1], RowAxis::Candidates, 8).unwrap();
    let policy = Policy {
        buckets,
        max_wait: Duration::ZERO,
        patience: Duration::from_secs(1),
        margin: Duration::ZERO,
        run_in_place: Duration::ZERO,
        halve_from: Duration::ZERO,
    };
    let none: Vec<Doubler> = Vec::new();
    let started = Batcher::start("test", none, policy, RunTimes::default(), Arc::new(NoObserver));
    assert!(matches!(started.err(), Some(BatcherStartError::NoModel)));
}
