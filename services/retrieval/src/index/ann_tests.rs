use std::collections::HashSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::AnnIndex;
use crate::{
    index::vector::normalised,
    options::{AnnOptions, VectorStorage},
};

fn random(rng: &mut ChaCha8Rng, dim: usize) -> Vec<f32> {
    (0..dim).map(|_| rng.random_range(-1.0f32..1.0)).collect()
}

fn vector(index: &AnnIndex, key: u32) -> Option<Vec<f32>> {
    let mut vector = vec![0.0; index.dim()];
    index.vector(key, &mut vector).then_some(vector)
}

fn exact(vectors: &[(u32, Vec<f32>)], query: &[f32], count: usize) -> HashSet<u32> {
    let query = normalised(query).unwrap();
    let mut all: Vec<(f32, u32)> = vectors
        .iter()
        .map(|(key, vector)| {
            let vector = normalised(vector).unwrap();
            (vector.iter().zip(&query).map(|(a, b)| a * b).sum(), *key)
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().take(count).map(|(_, key)| key).collect()
}

fn recall(index: &AnnIndex, vectors: &[(u32, Vec<f32>)], rng: &mut ChaCha8Rng) -> f64 {
    let mut hits = 0;
    for _ in 0..50 {
        let query = random(rng, index.dim());
        let truth = exact(vectors, &query, 20);
        let found = index.search(&query, 20, |_| true).unwrap();
        hits += found.iter().filter(|key| truth.contains(key)).count();
    }
    hits as f64 / (50.0 * 20.0)
}

#[test]
fn recall_is_high_also_after_a_third_was_replaced() {
    for storage in [VectorStorage::F32, VectorStorage::F16] {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let options = AnnOptions { storage, ..AnnOptions::default() };
        let index = AnnIndex::new(16, 10, &options).unwrap();
        let mut vectors: Vec<(u32, Vec<f32>)> =
            (0..3_000).map(|key| (key, random(&mut rng, 16))).collect();
        assert_eq!(index.fill(&vectors).unwrap(), 3_000);
        let before = recall(&index, &vectors, &mut rng);
        assert!(before > 0.9, "{storage:?}: {before}");
        for (key, vector) in vectors.iter_mut().step_by(3) {
            *vector = random(&mut rng, 16);
            assert!(index.put(*key, vector).unwrap());
        }
        assert_eq!(index.len(), 3_000);
        let after = recall(&index, &vectors, &mut rng);
        assert!(after > 0.9, "{storage:?}: {after}");
    }
}

#[test]
fn removed_and_filtered_keys_are_not_found() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let index = AnnIndex::new(8, 10, &AnnOptions::default()).unwrap();
    let vectors: Vec<(u32, Vec<f32>)> = (0..200).map(|k| (k, random(&mut rng, 8))).collect();
    index.fill(&vectors).unwrap();
    for key in 0..100 {
        index.remove(key).unwrap();
    }
    index.remove(100_000).unwrap();
    let found = index.search(&vectors[5].1, 200, |key| key % 2 == 0).unwrap();
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|key| *key >= 100 && key % 2 == 0));
    let cosine = |key: &u32| {
        let (found, query) = (vector(&index, *key).unwrap(), normalised(&vectors[5].1).unwrap());
        found.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>()
    };
    assert!(found.is_sorted_by(|a, b| cosine(a) >= cosine(b) - 1e-6));
    assert_eq!((index.len(), vector(&index, 5)), (100, None));
}

#[test]
fn a_saved_index_is_restored_and_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let options = AnnOptions::default();
    let index = AnnIndex::new(8, 10, &options).unwrap();
    let vectors: Vec<(u32, Vec<f32>)> = (0..500).map(|k| (k, random(&mut rng, 8))).collect();
    index.fill(&vectors).unwrap();
    (0..50).for_each(|key| index.remove(key).unwrap());
    index.save(&path).unwrap();
    let loaded = AnnIndex::load(&path, 8, 500, &options).unwrap();
    assert_eq!((loaded.len(), vector(&loaded, 7)), (450, None));
    assert_eq!(vector(&loaded, 70), vector(&index, 70));
    for (_, query) in vectors.iter().take(20) {
        let found = |index: &AnnIndex| index.search(query, 20, |_| true).unwrap();
        assert_eq!(found(&loaded), found(&index));
    }
    let scanned = |index: &AnnIndex| index.scan(&[(&vectors[9].1, 20)], 0..600);
    assert_eq!(scanned(&loaded), scanned(&index));
    for (key, vector) in &vectors {
        assert!(loaded.put(*key, vector).unwrap());
    }
    assert_eq!(loaded.search(&vectors[7].1, 1, |_| true).unwrap()[0], 7);
    assert!(AnnIndex::load(&path, 9, 500, &options).is_err(), "another size");
    assert!(AnnIndex::load(&path, 8, 499, &options).is_err(), "a key of an unknown item");
    std::fs::write(&path, b"no index").unwrap();
    assert!(AnnIndex::load(&path, 8, 500, &options).is_err(), "no index");
}

#[test]
fn zero_vectors_are_not_indexed() {
    let index = AnnIndex::new(2, 0, &AnnOptions::default()).unwrap();
    let vectors = [(0, vec![0.0, 0.0]), (1, vec![f32::NAN, 1.0]), (2, vec![0.0, 2.0])];
    assert_eq!(index.fill(&vectors).unwrap(), 1);
    assert_eq!(vector(&index, 2), Some(vec![0.0, 1.0]));
    assert!(!index.put(2, &[0.0, 0.0]).unwrap());
    assert!(index.is_empty());
    assert_eq!(index.search(&[1.0, 0.0], 5, |_| true).unwrap(), [] as [u32; 0]);
    let message = index.put(2, &[1.0]).unwrap_err().to_string();
    assert!(message.contains("1 elements"), "{message}");
}

#[test]
fn searches_run_concurrently_with_writes() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let threads = Some(4);
    let index = AnnIndex::new(8, 16, &AnnOptions { threads, ..Default::default() }).unwrap();
    let vectors: Vec<(u32, Vec<f32>)> = (0..500).map(|k| (k, random(&mut rng, 8))).collect();
    index.fill(&vectors).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for (_, query) in vectors.iter().take(300) {
                    assert_eq!(index.search(query, 10, |_| true).unwrap().len(), 10);
                }
            });
        }
        scope.spawn(|| {
            for key in 0..2_000u32 {
                index.put(key % 900, &vectors[(key % 500) as usize].1).unwrap();
            }
        });
    });
    assert_eq!(index.len(), 900);
}

#[test]
fn a_scan_finds_the_nearest_of_its_keys() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    for storage in [VectorStorage::F32, VectorStorage::F16] {
        let options = AnnOptions { storage, ..AnnOptions::default() };
        let index = AnnIndex::new(24, 10, &options).unwrap();
        let mut vectors: Vec<(u32, Vec<f32>)> =
            (0..4_000).map(|key| (key, random(&mut rng, 24))).collect();
        index.fill(&vectors).unwrap();
        for (key, vector) in vectors.iter_mut().step_by(5) {
            *vector = random(&mut rng, 24);
            index.put(*key, vector).unwrap();
        }
        index.remove(7).unwrap();
        let wanted = |key: u32| key % 3 == 1 && key != 7;
        let there: Vec<_> = vectors.iter().filter(|(key, _)| wanted(*key)).cloned().collect();
        let (mut hits, mut sought) = (0, 0);
        for _ in 0..20 {
            let queries = [random(&mut rng, 24), random(&mut rng, 24)];
            let found = index.scan(
                &[(&queries[0], 50), (&queries[1], 5)],
                (0..9_000).filter(|key| key % 3 == 1),
            );
            for (query, found) in queries.iter().zip(found) {
                let truth = exact(&there, query, found.len());
                hits += found.iter().filter(|key| truth.contains(key)).count();
                sought += found.len();
            }
        }
        assert_eq!(sought, 20 * 55);
        assert!(hits >= sought - 2, "{storage:?}: {hits} of {sought}");
    }
}

#[test]
fn few_matches_are_scanned_and_many_are_searched() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let options = AnnOptions { expansion_search: 8, ..AnnOptions::default() };
    let index = AnnIndex::new(2, 2_000, &options).unwrap();
    let vectors: Vec<_> = (0..2_000).map(|key| (key, random(&mut rng, 2))).collect();
    index.fill(&vectors).unwrap();
    // Half a hundredth, a quarter, a little more, and all of them.
    let taken = [10, 500, 501, 2_000].map(|wanted| index.scan_is_shorter(wanted, 1));
    assert_eq!(taken, [true, true, false, false]);
}
