//! What one run costs besides the arithmetic: the small bundle's `idrec` does hardly any.
//!
//! `cargo bench -p plugrank-inference --bench run`

use std::{hint::black_box, path::Path};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use plugrank_contract::Deadline;
use plugrank_inference::{Library, Session, SessionOptions, Tensor, TensorData, WorkerPool};

const GRAPH: &str = "../bundle/tests/fixtures/small/idrec.onnx";

fn session() -> Session {
    let library = Library::load(None).unwrap_or_else(|error| panic!("{error}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GRAPH);
    Session::load(&library, &path, SessionOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn ids(shape: Vec<usize>) -> Tensor {
    let elements = shape.iter().product();
    Tensor { shape, data: TensorData::I64(vec![2; elements]) }
}

fn runs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session run");
    let mut session = session();
    for candidates in [1, 500, 50_000] {
        let (users, items) = (ids(vec![1]), ids(vec![1, candidates]));
        group.bench_function(BenchmarkId::from_parameter(candidates), |bencher| {
            bencher.iter(|| black_box(session.run(&[("user_id", &users), ("item_id", &items)])));
        });
    }
    group.finish();
}

fn pool(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let pool = WorkerPool::start("bench", vec![()], 16).unwrap_or_else(|error| panic!("{error}"));
    criterion.bench_function("pool job", |bencher| {
        bencher.iter(|| black_box(runtime.block_on(pool.submit(Deadline::NONE, |()| Ok(1)))));
    });
}

criterion_group!(benches, runs, pool);
criterion_main!(benches);
