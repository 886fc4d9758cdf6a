//! The index: HNSW by the `usearch` library.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::RwLock;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use crate::{
    RetrievalError,
    index::vector::normalised,
    options::{AnnOptions, VectorStorage},
};

/// Vectors that are compared one by one in the time in which a search visits one of its graph, with its
/// neighbours: 13 of 10,000 items, at least, by the bench `index`; of more than fit into the processor's caches fewer.
const VISIT: usize = 8;
/// One wanted vector in so many is few.
const NARROW: usize = 8;

/// Nearest neighbours by cosine, over vectors under `u32` keys.
///
/// Vectors are normalised on their way in, so that the library's inner product is the cosine at a
/// third of its cost. Zero vectors and vectors that are not finite stay out.
///
/// `usearch` lets threads add at the same time, and threads search at the same time, as many as
/// were reserved. It does not let the memory grow, nor a removed vector's place be used again,
/// while others read. So once an index serves, writers have it alone.
pub struct AnnIndex {
    index: RwLock<Index>,
    dim: usize,
    threads: usize,
}

impl AnnIndex {
    /// An empty index for vectors of `dim` elements, with room for `capacity` of them.
    ///
    /// # Errors
    /// When `dim` is 0 or memory is short.
    pub fn new(dim: usize, capacity: usize, options: &AnnOptions) -> Result<Self, RetrievalError> {
        if dim == 0 {
            return Err(RetrievalError::Index("item vectors have no elements".to_owned()));
        }
        let quantization = match options.storage {
            VectorStorage::F16 => ScalarKind::F16,
            VectorStorage::F32 => ScalarKind::F32,
        };
        let index = Index::new(&IndexOptions {
            dimensions: dim,
            metric: MetricKind::IP,
            quantization,
            connectivity: options.connectivity,
            expansion_add: options.expansion_add,
            expansion_search: options.expansion_search,
            multi: false,
        })
        .map_err(refused)?;
        let threads = options.threads();
        index.reserve_capacity_and_threads(capacity, threads).map_err(refused)?;
        Ok(Self { index: RwLock::new(index), dim, threads })
    }

    /// Elements of a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Searches that may run at a time.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Vectors in the index.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.read().size()
    }

    /// Whether it has no vectors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory the library holds for it, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.index.read().memory_usage()
    }

    /// Adds many vectors under new keys, on all threads. Only for an index that is not searched
    /// yet. Returns how many had a direction and were added.
    ///
    /// # Errors
    /// When a key is there already, a vector is of another size, or memory is short.
    pub fn fill(&self, vectors: &[(u32, Vec<f32>)]) -> Result<usize, RetrievalError> {
        {
            let index = self.index.write();
            let needed = index.size() + vectors.len();
            if needed > index.capacity() {
                let capacity = needed.max(index.capacity() * 3 / 2);
                index.reserve_capacity_and_threads(capacity, self.threads).map_err(refused)?;
            }
        }
        let index = self.index.read();
        let added = AtomicUsize::new(0);
        let part = vectors.len().div_ceil(self.threads).max(1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = vectors
                .chunks(part)
                .map(|part| {
                    let (index, added) = (&*index, &added);
                    scope.spawn(move || {
                        plugrank_background::give_way();
                        for (key, vector) in part {
                            let Some(vector) = self.prepared(vector)? else { continue };
                            index.add(u64::from(*key), &vector).map_err(refused)?;
                            added.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(())
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(RetrievalError::Index("a thread panicked".to_owned())))
            })
        })?;
        Ok(added.into_inner())
    }

    /// Puts a vector in the place of the one under the same key, if any. A vector without a
    /// direction only takes the old one out. Returns whether the key is in the index now.
    ///
    /// # Errors
    /// When the vector is of another size, or memory is short.
    pub fn put(&self, key: u32, vector: &[f32]) -> Result<bool, RetrievalError> {
        let prepared = self.prepared(vector)?;
        let index = self.index.write();
        index.remove(u64::from(key)).map_err(refused)?;
        let Some(vector) = prepared else { return Ok(false) };
        if index.size() >= index.capacity() {
            let capacity = (index.size() * 3 / 2).max(1_024);
            index.reserve_capacity_and_threads(capacity, self.threads).map_err(refused)?;
        }
        index.add(u64::from(key), &vector).map_err(refused)?;
        Ok(true)
    }

    /// Takes a vector out; a key that is not there is no error.
    ///
    /// # Errors
    /// When memory is short.
    pub fn remove(&self, key: u32) -> Result<(), RetrievalError> {
        self.index.write().remove(u64::from(key)).map(drop).map_err(refused)
    }

    /// Whether there is a vector under a key.
    #[must_use]
    pub fn contains(&self, key: u32) -> bool {
        self.index.read().contains(u64::from(key))
    }

    /// Writes it to a file. Searches go on meanwhile, writers wait.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), RetrievalError> {
        self.index.read().save(text(path)?).map_err(refused)
    }

    /// Reads what [`Self::save`] wrote, with room for a tenth more.
    ///
    /// # Errors
    /// When the file cannot be read, or holds vectors of another size or kind than is set.
    pub fn load(path: &Path, dim: usize, options: &AnnOptions) -> Result<Self, RetrievalError> {
        let ann = Self::new(dim, 0, options)?;
        {
            let index = ann.index.write();
            index.load(text(path)?).map_err(refused)?;
            if index.dimensions() != dim {
                return Err(RetrievalError::Index(format!(
                    "{} holds vectors of {} elements, not {dim}",
                    path.display(),
                    index.dimensions()
                )));
            }
            let capacity = index.size() + index.size() / 10 + 1_024;
            index.reserve_capacity_and_threads(capacity, ann.threads).map_err(refused)?;
            index.change_expansion_search(options.expansion_search);
        }
        Ok(ann)
    }

    /// Writes the normalised vector under a key into `to`, of [`Self::dim`] elements; whether there
    /// is one.
    #[must_use]
    pub fn vector(&self, key: u32, to: &mut [f32]) -> bool {
        to.len() == self.dim
            && self.index.read().get(u64::from(key), to).is_ok_and(|found| found == 1)
    }

    /// The `count` nearest keys that `wanted` admits, nearest first. No more than [`Self::threads`]
    /// searches may run at a time.
    ///
    /// # Errors
    /// When the query is of another size, or too many searches run.
    pub fn search(
        &self,
        query: &[f32],
        count: usize,
        wanted: impl Fn(u32) -> bool,
    ) -> Result<Vec<u32>, RetrievalError> {
        let Some(query) = self.prepared(query)? else { return Ok(Vec::new()) };
        let index = self.index.read();
        if count == 0 || index.size() == 0 {
            return Ok(Vec::new());
        }
        // Keys come from `u32`s.
        let matches =
            index.filtered_search(&query, count, |key| wanted(key as u32)).map_err(refused)?;
        Ok(matches.keys.into_iter().map(|key| key as u32).collect())
    }

    /// Whether comparing `wanted` vectors one by one takes less than a search that admits them alone.
    /// To find as many as it looks for, a search visits about one in their share of all vectors, and to visit
    /// one takes `VISIT` times as long as to compare one. Where more than one in `NARROW` is wanted, that is not
    /// counted: there the neighbours that are kept of an item are often enough, and nothing is searched.
    #[must_use]
    pub fn scan_is_shorter(&self, wanted: usize, count: usize) -> bool {
        let index = self.index.read();
        let visited = index.size().saturating_mul(count.max(index.expansion_search()));
        let visit = if wanted.saturating_mul(NARROW) <= index.size() { VISIT } else { 1 };
        wanted.saturating_mul(wanted) < visited.saturating_mul(visit)
    }

    /// Of these keys the nearest to each of several vectors, so many, nearest first: every vector is
    /// compared. Keys without a vector are passed over.
    #[must_use]
    pub fn scan(
        &self,
        queries: &[(&[f32], usize)],
        keys: impl Iterator<Item = u32>,
    ) -> Vec<Vec<u32>> {
        let mut found: Vec<Vec<(f32, u32)>> = vec![Vec::new(); queries.len()];
        let index = self.index.read();
        let mut row = vec![0.0f32; self.dim];
        for key in keys {
            if !index.get(u64::from(key), &mut row).is_ok_and(|found| found == 1) {
                continue;
            }
            for ((query, _), found) in queries.iter().zip(&mut found) {
                let product: f32 = query.iter().zip(&row).map(|(a, b)| a * b).sum();
                found.push((product, key));
            }
        }
        drop(index);
        let nearest = found.into_iter().zip(queries).map(|(mut found, (_, count))| {
            let nearer = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            if *count < found.len() {
                found.select_nth_unstable_by(*count, nearer);
                found.truncate(*count);
            }
            found.sort_unstable_by(nearer);
            found.into_iter().map(|(_, key)| key).collect()
        });
        nearest.collect()
    }

    fn prepared(&self, vector: &[f32]) -> Result<Option<Vec<f32>>, RetrievalError> {
        if vector.len() == self.dim {
            return Ok(normalised(vector));
        }
        Err(RetrievalError::Index(format!(
            "a vector of {} elements does not fit vectors of {}",
            vector.len(),
            self.dim
        )))
    }
}

fn text(path: &Path) -> Result<&str, RetrievalError> {
    let odd = || RetrievalError::Index(format!("the path {} is not UTF-8", path.display()));
    path.to_str().ok_or_else(odd)
}

fn refused(error: impl std::fmt::Display) -> RetrievalError {
    RetrievalError::Index(error.to_string())
}

#[cfg(test)]
#[path = "ann_tests.rs"]
mod tests;
