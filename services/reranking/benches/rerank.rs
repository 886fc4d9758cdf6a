//! Cost of the rules for a pool of 200 candidates with vectors, of 500 that were scored.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use plugrank_contract::{
    Dtype, ItemId, ItemList, Matrix,
    reranking::{RankFacts, RuleFacts},
};
use plugrank_reranking::{
    Facts, RerankingOptions, inputs::Inputs, order::by_value, rule_list, rules::Field,
    selection::select, similarity::Similarity,
};

const SCORED: usize = 500;
const POOL: usize = 200;

/// Numbers that look random enough, without a generator.
fn noise(n: usize) -> f32 {
    ((n * 2_654_435_761) % 10_007) as f32 / 10_007.0
}

fn facts(dim: usize) -> RankFacts {
    let data = (0..SCORED * dim).flat_map(|n| (noise(n) - 0.5).to_le_bytes()).collect();
    RankFacts {
        categories: (0..SCORED as u32).map(|n| vec![n % 9, 9 + n % 4]).collect(),
        created_at: (0..SCORED as i64).map(Some).collect(),
        with_vector: (0..SCORED as u32).collect(),
        vectors: Matrix::new(SCORED, dim, Dtype::F32, data).expect("as long as its shape says"),
        rules: RuleFacts::default(),
    }
}

fn benchmark(criterion: &mut Criterion) {
    let options = RerankingOptions::default();
    let rules = rule_list::all(&options, &[], &mut Inputs::default());
    let items: ItemList = (0..SCORED).map(|n| ItemId::from(format!("item-{n}"))).collect();
    let ctr: Vec<f32> = (0..SCORED).map(noise).collect();
    let mut group = criterion.benchmark_group("rerank 200 of 500");
    for (k, dim) in [(20, 32), (50, 32), (50, 128)] {
        let facts = facts(dim);
        group.bench_function(BenchmarkId::new(format!("k {k}"), format!("dim {dim}")), |bench| {
            bench.iter(|| {
                let order = by_value(&items, &ctr);
                let sorted: Vec<f32> = order.iter().map(|place| ctr[*place as usize]).collect();
                let similarity =
                    Similarity::of_facts(&facts, &order[..POOL]).expect("one row an item");
                let field = Field {
                    value: &sorted,
                    ctr: &sorted,
                    rule_facts: &facts.rules,
                    order: &order,
                    before: 0,
                    facts: Facts::Given { facts: &facts, order: &order },
                    pool: POOL,
                    similarity,
                    k,
                    as_of: 1_000,
                    seed: 7,
                };
                black_box(select(&field, rules.iter().map(|rule| &**rule)))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
