//! Cost of the rules for a pool of 200 candidates with vectors.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use plugrank_contract::{
    Dtype, Matrix,
    embedding::{FetchedVectors, RecordOrigin},
    reranking::ScoredCandidate,
    retrieval::Source,
};
use plugrank_reranking::{
    ItemFacts, Likeness, RerankingOptions,
    order::by_click_probability,
    pipeline::{Input, rerank},
};

const POOL: usize = 200;

/// Numbers that look random enough, without a generator.
fn noise(n: usize) -> f32 {
    ((n * 2_654_435_761) % 10_007) as f32 / 10_007.0
}

fn candidates() -> Vec<ScoredCandidate> {
    let candidate = |n: usize| ScoredCandidate {
        item_id: format!("item-{n}").into(),
        ctr: noise(n),
        sources: vec![Source::Ann, Source::Popular],
    };
    (0..POOL).map(candidate).collect()
}

fn fetched(dim: usize) -> FetchedVectors {
    let data = (0..POOL * dim).flat_map(|n| (noise(n) - 0.5).to_le_bytes()).collect();
    FetchedVectors {
        bundle: String::new(),
        vectors: Matrix::new(POOL, dim, Dtype::F32, data).expect("as long as its shape says"),
        origins: vec![RecordOrigin::Memory; POOL],
    }
}

fn benchmark(criterion: &mut Criterion) {
    let options = RerankingOptions::default();
    let facts: Vec<ItemFacts> = (0..POOL as u32)
        .map(|n| ItemFacts { categories: vec![n % 9, 9 + n % 4], created_at: Some(i64::from(n)) })
        .collect();
    let mut group = criterion.benchmark_group("rerank 200");
    for (k, dim) in [(20, 32), (50, 32), (50, 128)] {
        let (given, rows) = (candidates(), fetched(dim));
        group.bench_function(BenchmarkId::new(format!("k {k}"), format!("dim {dim}")), |bench| {
            bench.iter(|| {
                let candidates = by_click_probability(given.clone());
                let likeness = Likeness::by_vectors(&rows, POOL).expect("one row an item");
                let input = Input {
                    candidates: &candidates,
                    facts: &facts,
                    likeness: &likeness,
                    pool: POOL,
                    k,
                    as_of: 1_000,
                    seed: 7,
                };
                black_box(rerank(&input, &options))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
