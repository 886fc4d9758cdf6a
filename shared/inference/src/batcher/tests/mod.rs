//! The batcher over a trivial model.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use parking_lot::Mutex;
use plugrank_contract::Deadline;

use super::*;

mod batches;
mod failures;
mod in_place;

/// Doubles numbers. `POISON` panics, `WRONG` fails the run, `AWAY` fails every run, `UNREADABLE`
/// its own entry; with a gate it waits for a go before each run.
struct Doubler {
    gate: Option<Arc<Mutex<mpsc::Receiver<()>>>>,
    begun: Arc<AtomicUsize>,
    ran: Arc<Mutex<Vec<usize>>>,
    /// Names of the threads it ran on.
    threads: Arc<Mutex<Vec<String>>>,
    only_computes: bool,
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
        _: Deadline,
        answers: &mut Vec<Result<Vec<u64>, String>>,
    ) -> Result<(), RunError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        self.threads.lock().push(thread);
        if let Some(gate) = &self.gate {
            gate.lock().recv().map_err(|_| RunError::of_the_model("the test ended"))?;
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
        self.ran.lock().push(inputs().map(Vec::len).sum());
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

    fn only_computes(&self) -> bool {
        self.only_computes
    }
}

#[derive(Default)]
struct Reports {
    batches: Mutex<Vec<BatchReport>>,
    left: Mutex<(usize, usize)>,
}

impl BatchObserver for Reports {
    fn batch(&self, report: &BatchReport) {
        self.batches.lock().push(report.clone());
    }
    fn left(&self, expired: usize, cancelled: usize) {
        let mut left = self.left.lock();
        *left = (left.0 + expired, left.1 + cancelled);
    }
}

struct Fixture {
    // Dropped before the batcher, which waits for its worker, which may wait for the gate.
    gate: Option<mpsc::Sender<()>>,
    batcher: Batcher<Doubler>,
    begun: Arc<AtomicUsize>,
    reports: Arc<Reports>,
    ran: Arc<Mutex<Vec<usize>>>,
    threads: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    /// Whether the first run has begun (and waits at the gate).
    fn begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst) > 0
    }
}

fn fixture(workers: usize, gated: bool) -> Fixture {
    started(workers, gated, Duration::ZERO, true)
}

fn started(workers: usize, gated: bool, run_in_place: Duration, only_computes: bool) -> Fixture {
    let (users, candidates) = (vec![1, 2, 4, 8], vec![8, 32]);
    let buckets = Buckets::new(users, candidates, vec![1], RowAxis::Candidates, 128).unwrap();
    let (ran, reports) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Reports::default()));
    let (gate, gates) = mpsc::channel();
    let gates = gated.then(|| Arc::new(Mutex::new(gates)));
    let begun = Arc::new(AtomicUsize::new(0));
    let threads = Arc::new(Mutex::new(Vec::new()));
    let model = || Doubler {
        gate: gates.clone(),
        begun: Arc::clone(&begun),
        ran: Arc::clone(&ran),
        threads: Arc::clone(&threads),
        only_computes,
    };
    let mut models: Vec<_> = (0..workers).map(|_| model()).collect();
    let mut progress = Vec::new();
    warm_up(&mut models, &buckets, &mut |done, all| progress.push((done, all))).unwrap();
    let all = buckets.shapes().len() * workers;
    assert_eq!(progress.last(), Some(&(all, all)));
    // As on a device on which a run costs the same however large it is: what waits goes together.
    let mut times = RunTimes::default();
    buckets.shapes().into_iter().for_each(|shape| times.record(shape, Duration::from_micros(20)));
    let policy = Policy {
        buckets,
        max_wait: if run_in_place.is_zero() { Duration::from_micros(200) } else { Duration::ZERO },
        patience: Duration::from_secs(1),
        margin: Duration::ZERO,
        run_in_place,
        // Every run here is predicted to take 20 us.
        halve_from: Duration::from_micros(20),
    };
    let observer = Arc::new(Arc::clone(&reports));
    let batcher = Batcher::start("test", models, policy, times, observer).unwrap();
    Fixture { gate: gated.then_some(gate), batcher, begun, reports, ran, threads }
}

fn entry(numbers: Vec<u64>) -> Entry<Vec<u64>> {
    Entry { dims: Dims { candidates: numbers.len(), history: 1 }, input: numbers }
}

/// Runs `test` on a fresh runtime, which proptest's synchronous bodies need.
fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Lets tasks run until `done`.
async fn wait_until(mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    panic!("the condition did not hold within two seconds");
}
