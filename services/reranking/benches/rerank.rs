//! Cost of the rules for a pool of 200 candidates with vectors, of 500 that were scored.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use plugrank_contract::{
    Dtype, ItemId, ItemList, Matrix,
    reranking::{RankFacts, RuleFacts},
};
use plugrank_reranking::{
    Facts, RerankingOptions, RuleOptions,
    inputs::Inputs,
    order::by_value,
    rule_list,
    rules::{
        Field,
        exploration::{Draw, ExplorationOptions},
    },
    selection::select,
    similarity::Similarity,
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

/// All 300 candidates take part, half of 20 places explore: the most that it costs.
fn exploration(criterion: &mut Criterion) {
    const EXPLORED: usize = 300;
    let mut group = criterion.benchmark_group("explore among 300");
    for draw in [Draw::Uniform, Draw::Thompson] {
        let rule = ExplorationOptions {
            share: 0.5,
            max_impressions: Some(1_000_000),
            draw,
            ..ExplorationOptions::default()
        };
        let options = RerankingOptions {
            lambda: 1.0,
            category_cap: 0,
            exploration_share: 0.0,
            ..RerankingOptions::default()
        };
        let listed = [RuleOptions::Exploration(rule)];
        let rules = rule_list::all(&options, &listed, &mut Inputs::default());
        let mut facts = facts(32);
        facts.rules.stats = (0..SCORED as u64).map(|n| (n % 200, n % 200 / 15)).collect();
        let order: Vec<u32> = (0..EXPLORED as u32).collect();
        let ctr: Vec<f32> = (0..EXPLORED).map(|n| 0.3 / (1.0 + n as f32 / 40.0)).collect();
        let mut seed = 0;
        group.bench_function(format!("{draw:?}"), |bench| {
            bench.iter(|| {
                seed += 1;
                let field = Field {
                    value: &ctr,
                    ctr: &ctr,
                    rule_facts: &facts.rules,
                    order: &order,
                    before: 0,
                    facts: Facts::Given { facts: &facts, order: &order },
                    pool: EXPLORED,
                    similarity: Similarity::by_categories(),
                    k: 20,
                    as_of: 1_000,
                    seed,
                };
                black_box(select(&field, rules.iter().map(|rule| &**rule)))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, benchmark, exploration);
criterion_main!(benches);
