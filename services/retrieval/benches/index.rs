//! Measures the index of item vectors: build time, memory, recall against an exact search, time of
//! a query; and both with filters that from half down to a two-hundredth of the items meet.
//!
//! `cargo bench -p plugrank-retrieval --bench index -- [ITEMS] [DIM] [THREADS]`
//!
//! The vectors are drawn around random centres, as item vectors are, not evenly: evenly spread
//! vectors have no neighbourhoods and would say little about a catalog.

use std::{collections::HashSet, time::Instant};

use plugrank_retrieval::{
    RetrievalError,
    index::{AnnIndex, vector::normalised},
    options::{AnnOptions, VectorStorage},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Finds what is nearest to a vector.
type Way<'a> = dyn Fn(&[f32]) -> Result<Vec<u32>, RetrievalError> + 'a;

const QUERIES: usize = 200;
const NEIGHBOURS: usize = 100;

fn main() -> Result<(), RetrievalError> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().ok());
    let mut next = |default| arguments.next().flatten().unwrap_or(default);
    let (items, dim, threads) = (next(100_000), next(32), next(0));
    println!("{items} items x {dim}, recall@{NEIGHBOURS} over {QUERIES} queries");
    let vectors = clustered(items, dim);
    for storage in [VectorStorage::F32, VectorStorage::F16] {
        let threads = (threads > 0).then_some(threads);
        let options = AnnOptions { storage, threads, ..AnnOptions::default() };
        measure(&vectors, dim, &options)?;
    }
    Ok(())
}

fn measure(
    vectors: &[(u32, Vec<f32>)],
    dim: usize,
    options: &AnnOptions,
) -> Result<(), RetrievalError> {
    let before = resident_mib();
    let start = Instant::now();
    let index = AnnIndex::new(dim, vectors.len(), options)?;
    for part in vectors.chunks(1_024) {
        index.fill(part)?;
    }
    let built = start.elapsed();
    println!(
        "{:?}: built in {:.1} s on {} threads, {} MiB by the library, {} MiB resident",
        options.storage,
        built.as_secs_f64(),
        options.threads(),
        index.memory_bytes() >> 20,
        resident_mib().saturating_sub(before),
    );

    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let queries: Vec<&[f32]> =
        (0..QUERIES).map(|_| vectors[rng.random_range(0..vectors.len())].1.as_slice()).collect();
    let mut hits = 0;
    for query in &queries {
        let truth = exact(vectors, query, |_| true);
        let found = index.search(query, NEIGHBOURS, |_| true)?;
        hits += found.iter().filter(|key| truth.contains(key)).count();
    }
    let mut times: Vec<f64> = Vec::with_capacity(QUERIES * 10);
    for _ in 0..10 {
        for query in &queries {
            let start = Instant::now();
            std::hint::black_box(index.search(query, NEIGHBOURS, |key| key % 50 != 0)?);
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    println!(
        "  recall {:.4}, a query of {NEIGHBOURS} takes {:.0} µs at the median, {:.0} µs at the 99th",
        hits as f64 / (QUERIES * NEIGHBOURS) as f64,
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
    filtered(&index, vectors, &queries)?;
    let start = Instant::now();
    let changes = vectors.len().min(2_000);
    for (key, vector) in vectors.iter().rev().take(changes) {
        index.put(vectors.len() as u32 - 1 - key, vector)?;
    }
    println!("  a change takes {:.0} µs", start.elapsed().as_secs_f64() * 1e6 / changes as f64);
    Ok(())
}

/// Recall and time where only every so many-th item may come, spread over the clusters: by a search that admits
/// those alone, by comparing all of them, and by whichever the service takes.
fn filtered(
    index: &AnnIndex,
    vectors: &[(u32, Vec<f32>)],
    queries: &[&[f32]],
) -> Result<(), RetrievalError> {
    for parts in [1u64, 2, 4, 8, 20, 200] {
        let meets = |key: u32| {
            u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & 0xFFFF < 0x1_0000 / parts
        };
        let keys: Vec<u32> =
            vectors.iter().map(|(key, _)| *key).filter(|key| meets(*key)).collect();
        let truths: Vec<HashSet<u32>> =
            queries.iter().map(|query| exact(vectors, query, meets)).collect();
        let search = |query: &[f32]| index.search(query, NEIGHBOURS, meets);
        let scan = |query: &[f32]| {
            let query = normalised(query).unwrap_or_default();
            Ok(index.scan(&[(&query, NEIGHBOURS)], keys.iter().copied()).swap_remove(0))
        };
        let scans = index.scan_is_shorter(keys.len(), NEIGHBOURS);
        let ways: [(&str, &Way<'_>); 2] = [("search", &search), ("scan", &scan)];
        for (at, (way, found)) in ways.into_iter().enumerate() {
            let (mut hits, mut wanted, mut times) = (0, 0, Vec::with_capacity(queries.len()));
            for (query, truth) in queries.iter().zip(&truths) {
                let start = Instant::now();
                let found = std::hint::black_box(found(query)?);
                times.push(start.elapsed().as_secs_f64() * 1e6);
                hits += found.iter().filter(|key| truth.contains(key)).count();
                wanted += truth.len();
            }
            times.sort_by(f64::total_cmp);
            println!(
                "  {:>5.1}% match, {way:<6} {} recall {:.4}, {:.0} µs at the median, {:.0} µs at the 99th",
                100.0 * keys.len() as f64 / vectors.len() as f64,
                if scans == (at == 1) { "(taken)" } else { "       " },
                hits as f64 / wanted as f64,
                times[times.len() / 2],
                times[times.len() * 99 / 100],
            );
        }
    }
    Ok(())
}

fn clustered(items: usize, dim: usize) -> Vec<(u32, Vec<f32>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut draw = |spread: f32| -> Vec<f32> {
        // A sum of uniform draws is close enough to a normal one.
        (0..dim)
            .map(|_| spread * (0..4).map(|_| rng.random_range(-1.0f32..1.0)).sum::<f32>())
            .collect()
    };
    let centres: Vec<Vec<f32>> = (0..(items / 500).max(1)).map(|_| draw(1.0)).collect();
    (0..items)
        .map(|key| {
            let noise = draw(0.5);
            let centre = &centres[key % centres.len()];
            (key as u32, centre.iter().zip(&noise).map(|(a, b)| a + b).collect())
        })
        .collect()
}

fn exact(vectors: &[(u32, Vec<f32>)], query: &[f32], meets: impl Fn(u32) -> bool) -> HashSet<u32> {
    let query = normalised(query).unwrap_or_default();
    let mut all: Vec<(f32, u32)> = vectors
        .iter()
        .filter(|(key, _)| meets(*key))
        .map(|(key, vector)| {
            let dot: f32 = vector.iter().zip(&query).map(|(a, b)| a * b).sum();
            let squares: f32 = vector.iter().map(|a| a * a).sum();
            (dot / squares.sqrt(), *key)
        })
        .collect();
    if all.len() > NEIGHBOURS {
        all.select_nth_unstable_by(NEIGHBOURS, |a, b| b.0.total_cmp(&a.0));
    }
    all.into_iter().take(NEIGHBOURS).map(|(_, key)| key).collect()
}

/// Resident memory of this process, where the system tells it.
fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|n| n.parse().ok());
    kib.unwrap_or(0usize) >> 10
}
