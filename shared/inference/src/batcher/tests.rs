//! The batcher over a model that can be read at a glance.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

/// Doubles numbers. `POISON` panics, `WRONG` fails the run, `AWAY` fails every run, `UNREADABLE`
/// its own entry; with a gate it waits for a go before each run.
struct Doubler {
    gate: Option<mpsc::Receiver<()>>,
    begun: Arc<AtomicUsize>,
    ran: Arc<Mutex<Vec<usize>>>,
}

const POISON: u64 = 13_000;
const WRONG: u64 = 14_000;
const AWAY: u64 = 15_000;
const UNREADABLE: u64 = 16_000;

impl BatchModel for Doubler {
    type Input = Vec<u64>;
    type Output = Vec<u64>;

    fn run(
        &mut self,
        shape: Shape,
        entries: &[Entry<Vec<u64>>],
        _: Option<Instant>,
        answers: &mut Vec<Result<Vec<u64>, String>>,
    ) -> Result<(), RunError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.recv().map_err(|_| RunError::of_the_model("the test ended"))?;
        }
        assert!(entries.len() <= shape.users);
        let inputs = || entries.iter().map(|entry| &entry.input);
        assert!(inputs().all(|input| input.len() <= shape.candidates));
        assert!(!inputs().flatten().any(|number| *number == POISON), "poisoned");
        if inputs().flatten().any(|number| *number == WRONG) {
            return Err(RunError::of_an_entry("wrong"));
        }
        if inputs().flatten().any(|number| *number == AWAY) {
            return Err(RunError::of_the_model("away"));
        }
        self.ran.lock().unwrap().push(inputs().map(Vec::len).sum());
        answers.extend(inputs().map(|input| {
            if input.contains(&UNREADABLE) {
                return Err("unreadable".to_owned());
            }
            Ok(input.iter().map(|number| number * 2).collect())
        }));
        Ok(())
    }

    fn warm(&mut self, _: Shape) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Default)]
struct Reports {
    batches: Mutex<Vec<BatchReport>>,
    left: Mutex<(usize, usize)>,
}

impl BatchObserver for Reports {
    fn batch(&self, report: &BatchReport) {
        self.batches.lock().unwrap().push(report.clone());
    }
    fn left(&self, expired: usize, cancelled: usize) {
        let mut left = self.left.lock().unwrap();
        *left = (left.0 + expired, left.1 + cancelled);
    }
}

struct Bench {
    // Dropped before the batcher, which waits for its worker, which may wait for the gate.
    gate: Option<mpsc::Sender<()>>,
    batcher: Batcher<Doubler>,
    begun: Arc<AtomicUsize>,
    reports: Arc<Reports>,
    ran: Arc<Mutex<Vec<usize>>>,
}

impl Bench {
    /// Whether the first run has begun (and waits at the gate).
    fn begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst) > 0
    }
}

fn bench(workers: usize, gated: bool) -> Bench {
    let (users, candidates) = (vec![1, 2, 4, 8], vec![8, 32]);
    let buckets = Buckets::new(users, candidates, vec![1], RowAxis::Candidates, 128).unwrap();
    let (ran, reports) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Reports::default()));
    let (gate, gates) = mpsc::channel();
    let mut gates = gated.then_some(gates);
    let begun = Arc::new(AtomicUsize::new(0));
    let model = |gate| Doubler { gate, begun: Arc::clone(&begun), ran: Arc::clone(&ran) };
    let mut models: Vec<_> = (0..workers).map(|_| model(gates.take())).collect();
    let mut progress = Vec::new();
    let times =
        warm_up(&mut models, &buckets, &mut |done, all| progress.push((done, all))).unwrap();
    let all = buckets.shapes().len() * workers;
    assert_eq!(progress.last(), Some(&(all, all)));
    let policy = Policy {
        buckets,
        max_wait: Duration::from_micros(200),
        patience: Duration::from_secs(1),
        margin: Duration::ZERO,
        run_in_place: Duration::ZERO,
    };
    let observer = Arc::new(Arc::clone(&reports));
    let batcher = Batcher::start("test", models, policy, times, observer).unwrap();
    Bench { gate: gated.then_some(gate), batcher, begun, reports, ran }
}

fn entry(numbers: Vec<u64>) -> Entry<Vec<u64>> {
    Entry { dims: Dims { candidates: numbers.len(), history: 1 }, input: numbers }
}

/// Runs `test` on a fresh runtime, which proptest's synchronous bodies need.
fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Lets tasks run until `done`.
async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    panic!("it did not come about within two seconds");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Every request gets its own rows in its own order, and no row runs twice or not at all.
    #[test]
    fn everyone_gets_their_own_rows(
        sizes in prop::collection::vec(prop::collection::vec(1usize..=32, 1..4), 1..60),
        workers in 1usize..4,
    ) {
        let bench = bench(workers, false);
        let rows: usize = sizes.iter().flatten().sum();
        let requests: Vec<Vec<Vec<u64>>> = sizes
            .iter()
            .enumerate()
            .map(|(number, parts)| {
                let of = |part: usize, size: usize| (0..size).map(|at| (number * 10_000 + part * 100 + at) as u64 * 7 + 1).collect();
                parts.iter().enumerate().map(|(part, size)| of(part, *size)).collect()
            })
            .collect();
        let clean = |number: &u64| *number != POISON && *number != WRONG;
        prop_assume!(requests.iter().flatten().flatten().all(clean));
        let calls = requests.iter().map(|parts| {
            bench.batcher.run_all(parts.iter().cloned().map(entry).collect(), None)
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
        prop_assert_eq!(bench.ran.lock().unwrap().iter().sum::<usize>(), rows);
        let reports = bench.reports.batches.lock().unwrap();
        prop_assert_eq!(reports.iter().map(|report| report.rows).sum::<usize>(), rows);
        for report in reports.iter() {
            prop_assert!(report.rows <= report.padded_rows && report.padded_rows <= 128);
            prop_assert!((0.0..1.0).contains(&report.padding_share()));
        }
    }
}

#[tokio::test]
async fn what_waits_while_a_batch_runs_goes_together() {
    let bench = bench(1, true);
    let gate = bench.gate.as_ref().unwrap();
    let first = bench.batcher.run(entry(vec![1]), None);
    let others = async {
        until(|| bench.begun()).await;
        let calls = (0..8).map(|at| bench.batcher.run(entry(vec![at]), None));
        futures::future::join_all(calls).await
    };
    let opened = async {
        until(|| bench.batcher.waiting() == 8).await;
        gate.send(()).unwrap();
        gate.send(()).unwrap();
    };
    let (first, others, ()) = tokio::join!(first, others, opened);
    assert_eq!(first.unwrap().output, [2]);
    for (at, other) in others.into_iter().enumerate() {
        let other = other.unwrap();
        assert_eq!((other.output, other.batch_rows), (vec![at as u64 * 2], 64));
    }
    let reports = bench.reports.batches.lock().unwrap();
    assert_eq!(reports.len(), 2);
    assert_eq!((reports[1].reason, reports[1].entries), (CloseReason::RowLimit, 8));
    assert!(reports[1].oldest > Duration::ZERO);
}

#[tokio::test]
async fn the_backlog_is_what_waits_and_runs_and_then_nothing() {
    let bench = bench(1, true);
    let gate = bench.gate.as_ref().unwrap();
    assert_eq!(bench.batcher.backlog(), Duration::ZERO);
    let first = bench.batcher.run(entry(vec![1]), None);
    let others = async {
        until(|| bench.begun()).await;
        let calls = (0..20).map(|at| bench.batcher.run(entry(vec![at]), None));
        futures::future::join_all(calls).await
    };
    let opened = async {
        until(|| bench.batcher.waiting() == 20).await;
        let one = bench.batcher.predict(Dims { candidates: 1, history: 1 }).unwrap();
        let backlog = bench.batcher.backlog();
        // Twenty entries make three batches of up to eight.
        assert!(backlog > Duration::ZERO && one > Duration::ZERO, "{backlog:?}, {one:?}");
        (0..21).for_each(|_| gate.send(()).unwrap());
    };
    let (first, _, ()) = tokio::join!(first, others, opened);
    first.unwrap();
    until(|| bench.batcher.backlog() == Duration::ZERO).await;
}

#[tokio::test]
async fn who_went_away_or_came_too_late_costs_no_compute() {
    let bench = bench(1, true);
    let gate = bench.gate.as_ref().unwrap();
    let first = bench.batcher.run(entry(vec![1]), None);
    let soon = Instant::now() + Duration::from_millis(50);
    let late = async {
        until(|| bench.begun()).await;
        bench.batcher.run(entry(vec![2; 8]), Some(soon)).await
    };
    let rest = async {
        until(|| bench.begun() && bench.batcher.waiting() == 1).await;
        {
            let gone = bench.batcher.run(entry(vec![3; 8]), None);
            tokio::pin!(gone);
            tokio::select! {
                _ = &mut gone => panic!("the worker is busy"),
                () = until(|| bench.batcher.waiting() == 2) => {}
            }
        }
        tokio::time::sleep_until(soon + Duration::from_millis(1)).await;
        gate.send(()).unwrap();
    };
    let (first, late, ()) = tokio::join!(first, late, rest);
    assert_eq!(first.unwrap().output, [2]);
    assert_eq!(late.unwrap_err(), BatchError::Expired);
    assert_eq!(*bench.ran.lock().unwrap(), [1]);
    // The worker tells of them when it next looks into the queue, after the callers have been told.
    let told = until(|| *bench.reports.left.lock().unwrap() == (1, 1));
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
}

#[tokio::test]
async fn a_panic_or_a_failed_run_ends_only_its_batch() {
    let bench = bench(1, false);
    let panicked = bench.batcher.run(entry(vec![POISON]), None).await.unwrap_err();
    assert!(matches!(&panicked, BatchError::Failed(why) if why.contains("poisoned")), "{panicked}");
    let failed = bench.batcher.run(entry(vec![WRONG]), None).await.unwrap_err();
    assert_eq!(failed, BatchError::Failed("wrong".to_owned()));
    assert!(bench.batcher.alive());
    assert_eq!(bench.batcher.run(entry(vec![4]), None).await.unwrap().output, [8]);
    let reports = bench.reports.batches.lock().unwrap();
    let succeeded: Vec<bool> = reports.iter().map(|report| report.succeeded).collect();
    assert_eq!(succeeded, [false, false, true]);
}

#[tokio::test]
async fn an_entry_larger_than_any_shape_is_refused() {
    let bench = bench(1, false);
    let error = bench.batcher.run(entry(vec![1; 33]), None).await.unwrap_err();
    assert_eq!(error, BatchError::TooLarge { what: "candidates", got: 33, largest: 32 });
    let history = Dims { candidates: 1, history: 2 };
    let entry = Entry { dims: history, input: vec![1] };
    let error = bench.batcher.run(entry, None).await.unwrap_err();
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
    };
    let none: Vec<Doubler> = Vec::new();
    let started = Batcher::start("test", none, policy, RunTimes::default(), Arc::new(NoObserver));
    assert!(matches!(started.err(), Some(StartError::NoModel)));
}
