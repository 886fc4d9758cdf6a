//! What a request costs beside the graph: the shipped `unified` through the batcher, with rows
//! gathered from a table, against the bare session on inputs that are there already.
//!
//! `cargo bench -p plugrank-inference --bench batch`

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use plugrank_bundle::{Bundle, GraphName};
use plugrank_contract::Deadline;
use plugrank_inference::{
    BlockMut, Library, Session, SessionOptions, Slot,
    batcher::{
        Batcher, Buckets, Dims, Entry, GraphInput, GraphModel, Layout, NoObserver, Policy, RowAxis,
        Variable, warm_up,
    },
};

const BUNDLE: &str = "../../models/simshop/bundle";
/// Items in the table.
const ITEMS: usize = 4_000;
const HISTORY: usize = 30;
/// Models, and threads of callers where there are several.
const WORKERS: usize = 2;
const CALLERS: usize = 8;

/// Item records, one contiguous row an item.
struct Table {
    width: usize,
    numbers: Vec<f32>,
}

/// One request: candidates by their places in the table.
struct Rows {
    table: Arc<Table>,
    candidates: Vec<u32>,
    /// Elements of a row that each input takes; `None` where it does not vary with the candidates.
    steps: Arc<[Option<usize>]>,
}

impl GraphInput for Rows {
    fn write(&self, blocks: &mut [BlockMut<'_>]) -> Result<(), String> {
        for (row, item) in self.candidates.iter().enumerate() {
            let start = *item as usize * self.table.width;
            let mut record = &self.table.numbers[start..start + self.table.width];
            for (block, step) in blocks.iter_mut().zip(&*self.steps) {
                let Some(step) = *step else { continue };
                let (part, rest) = record.split_at(step);
                record = rest;
                if let BlockMut::F32(block) = block {
                    block[row * step..(row + 1) * step].copy_from_slice(part);
                }
            }
        }
        for (block, step) in blocks.iter_mut().zip(&*self.steps) {
            match block {
                BlockMut::F32(block) if step.is_none() => block.fill(0.1),
                BlockMut::I64(block) => block.fill(3),
                _ => {}
            }
        }
        Ok(())
    }

    fn writes_all(&self) -> bool {
        true
    }
}

struct Bench {
    library: Library,
    bundle: Bundle,
    layouts: Arc<[Layout]>,
    table: Arc<Table>,
}

impl Bench {
    fn new() -> Self {
        let library = Library::load(None).unwrap_or_else(|error| panic!("{error}"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(BUNDLE);
        let bundle = Bundle::open(&path).unwrap_or_else(|error| panic!("{error}"));
        let layouts = Self::model(&library, &bundle).inputs();
        let width = steps(&layouts).iter().flatten().sum();
        let numbers = (0..ITEMS * width).map(|at| (at % 17) as f32 * 0.01 - 0.08).collect();
        Self { library, bundle, layouts, table: Arc::new(Table { width, numbers }) }
    }

    fn model(library: &Library, bundle: &Bundle) -> GraphModel {
        GraphModel::load(library, bundle, GraphName::Unified, SessionOptions::default())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn batcher(&self, run_in_place: Duration) -> Batcher<GraphModel> {
        let model = |_| Self::model(&self.library, &self.bundle);
        let mut models: Vec<_> = (0..WORKERS).map(model).collect();
        let (users, candidates) = (vec![1, 2, 4, 8], vec![32, 64, 128, 256, 512, 1024]);
        let buckets = Buckets::new(users, candidates, vec![25, 50, 100], RowAxis::Candidates, 2048)
            .unwrap_or_else(|error| panic!("{error}"));
        let times = warm_up(&mut models, &buckets, &mut |_, _| {})
            .unwrap_or_else(|error| panic!("{error}"));
        let policy = Policy { run_in_place, ..Policy::new(buckets) };
        Batcher::start("bench", models, policy, times, Arc::new(NoObserver))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn entry(&self, candidates: usize, number: usize) -> Entry<Box<dyn GraphInput>> {
        let item = |at: usize| ((number * 131 + at * 977) % ITEMS) as u32;
        let input = Rows {
            table: Arc::clone(&self.table),
            candidates: (0..candidates).map(item).collect(),
            steps: steps(&self.layouts),
        };
        Entry { dims: Dims { candidates, history: HISTORY }, input: Box::new(input) }
    }
}

fn steps(layouts: &[Layout]) -> Arc<[Option<usize>]> {
    let step = |one: &Layout| (one.variable == Some(Variable::Candidates)).then(|| one.step());
    layouts.iter().map(step).collect()
}

/// The graph alone on one thread, in the shape that a batch of one request has.
fn bare_session(group: &mut BenchmarkGroup<'_, WallTime>, bench: &Bench, candidates: usize) {
    let path = bench.bundle.graph_path(GraphName::Unified).unwrap_or_default();
    let mut session = Session::load(&bench.library, &path, SessionOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let padded = candidates.next_power_of_two();
    let dims = |layout: &Layout| {
        let mut dims = vec![1];
        dims.extend(layout.variable.map(|variable| match variable {
            Variable::Candidates => padded,
            Variable::History => 50,
        }));
        dims.extend(&layout.fixed);
        dims
    };
    let shapes: Vec<Vec<usize>> = bench.layouts.iter().map(dims).collect();
    let slots: Vec<Slot<'_>> = bench
        .layouts
        .iter()
        .zip(&shapes)
        .map(|(layout, shape)| Slot { name: &layout.name, dtype: layout.dtype, shape })
        .collect();
    let answer = [1, padded];
    let logit = Slot { name: "logit", dtype: plugrank_bundle::TensorDtype::F32, shape: &answer };
    let prepared = session.prepare(&slots, &[logit]).unwrap_or_else(|error| panic!("{error}"));
    group.bench_function("bare session", |bencher| {
        bencher.iter(|| {
            let outputs = session.run_prepared(&prepared).unwrap_or_else(|error| panic!("{error}"));
            black_box(outputs.get(0).map(|logits| logits.len()))
        });
    });
}

fn one_caller(
    group: &mut BenchmarkGroup<'_, WallTime>,
    bench: &Bench,
    (name, run_in_place): (&str, Duration),
    candidates: usize,
) {
    let batcher = bench.batcher(run_in_place);
    let runtime = runtime();
    let mut number = 0;
    group.bench_function(format!("one caller, {name}"), |bencher| {
        bencher.iter(|| {
            number += 1;
            let ran =
                runtime.block_on(batcher.run(bench.entry(candidates, number), Deadline::NONE));
            black_box(ran.map(|ran| ran.output.len()))
        });
    });
}

/// Eight callers on as many threads as there are models; time a request of all of them.
fn eight_callers(
    group: &mut BenchmarkGroup<'_, WallTime>,
    bench: &Bench,
    (name, run_in_place): (&str, Duration),
    candidates: usize,
) {
    let batcher = bench.batcher(run_in_place);
    group.bench_function(format!("eight callers, {name}"), |bencher| {
        bencher.iter_custom(|requests| {
            let each = requests.div_ceil(CALLERS as u64) as usize;
            let begun = Instant::now();
            thread::scope(|scope| {
                for thread in 0..WORKERS {
                    let batcher = &batcher;
                    scope.spawn(move || {
                        let caller = async |caller: usize| {
                            for number in 0..each {
                                let number = number + 1_000 * (thread * CALLERS + caller);
                                let entry = bench.entry(candidates, number);
                                let ran = batcher.run(entry, Deadline::NONE).await;
                                black_box(ran.map(|ran| ran.output.len()).unwrap_or_default());
                            }
                        };
                        let callers = (0..CALLERS / WORKERS).map(caller);
                        runtime().block_on(futures::future::join_all(callers));
                    });
                }
            });
            let all = (each * CALLERS) as f64;
            begun.elapsed().mul_f64(requests as f64 / all)
        });
    });
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap_or_else(|error| panic!("{error}"))
}

fn requests(criterion: &mut Criterion) {
    let bench = Bench::new();
    let ways = [("workers", Duration::ZERO), ("in place", Duration::from_millis(5))];
    for candidates in [50, 500] {
        let mut group = criterion.benchmark_group(format!("{candidates} candidates"));
        group.measurement_time(Duration::from_secs(3)).throughput(Throughput::Elements(1));
        bare_session(&mut group, &bench, candidates);
        for way in ways {
            one_caller(&mut group, &bench, way, candidates);
            eight_callers(&mut group, &bench, way, candidates);
        }
        group.finish();
    }
}

criterion_group!(benches, requests);
criterion_main!(benches);
