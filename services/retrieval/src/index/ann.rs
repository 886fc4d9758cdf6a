//! The index: HNSW by the `usearch` library.

use std::path::Path;

use parking_lot::RwLock;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use crate::{
    RetrievalError,
    index::{
        codes::{CodedQuery, Codes, NearestCodes},
        vector::normalised,
    },
    options::{AnnOptions, VectorStorage},
};

/// Vectors that are compared one by one in the time in which a search visits one of its graph, with its
/// neighbours: 120 of 50,000 items by the bench `index`, more of larger catalogs.
const VISIT: usize = 150;
/// One wanted vector in so many is few: of fewer a search finds too few of the nearest (0.984 of them at an eighth).
const NARROW: usize = 4;
/// How many more than are looked for are compared exactly, beside half as many again.
const SPARE: usize = 32;

/// Nearest neighbours by cosine, over vectors under `u32` keys.
///
/// Vectors are normalised on their way in, so that the library's inner product is the cosine at a
/// third of its cost. Zero vectors and vectors that are not finite stay out.
///
/// `usearch` lets threads add at the same time, and threads search at the same time, as many as
/// were reserved. It does not let the memory grow, nor a removed vector's place be used again,
/// while others read. So once an index serves, writers have it alone.
pub struct AnnIndex {
    vectors: RwLock<Vectors>,
    dim: usize,
    threads: usize,
}

struct Vectors {
    index: Index,
    /// The same vectors, for comparing many of them.
    codes: Codes,
}

impl Vectors {
    fn remove(&mut self, key: u32) -> Result<(), RetrievalError> {
        self.codes.remove(key);
        self.index.remove(u64::from(key)).map(drop).map_err(refused)
    }

    fn add(&mut self, key: u32, vector: &[f32]) -> Result<(), RetrievalError> {
        self.index.add(u64::from(key), vector).map_err(refused)?;
        self.codes.put(key, vector);
        Ok(())
    }
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
        let vectors = Vectors { index, codes: Codes::new(dim) };
        Ok(Self { vectors: RwLock::new(vectors), dim, threads })
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
        self.vectors.read().index.size()
    }

    /// Whether it has no vectors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory it takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let vectors = self.vectors.read();
        vectors.index.memory_usage() + vectors.codes.bytes()
    }

    /// Adds many vectors under new keys, on all threads. Only for an index that is not searched
    /// yet. Returns how many had a direction and were added.
    ///
    /// # Errors
    /// When a key is there already, a vector is of another size, or memory is short.
    pub fn fill(&self, vectors: &[(u32, Vec<f32>)]) -> Result<usize, RetrievalError> {
        {
            let index = &self.vectors.write().index;
            let needed = index.size() + vectors.len();
            if needed > index.capacity() {
                let capacity = needed.max(index.capacity() * 3 / 2);
                index.reserve_capacity_and_threads(capacity, self.threads).map_err(refused)?;
            }
        }
        let part = vectors.len().div_ceil(self.threads).max(1);
        let added = {
            let index = &self.vectors.read().index;
            std::thread::scope(|scope| {
                let workers: Vec<_> = vectors
                    .chunks(part)
                    .map(|part| scope.spawn(move || self.add_part(index, part)))
                    .collect();
                let panicked = || RetrievalError::Index("a thread panicked".to_owned());
                let joined = workers
                    .into_iter()
                    .map(|worker| worker.join().unwrap_or_else(|_| Err(panicked())));
                joined.collect::<Result<Vec<_>, _>>()
            })?
        };
        let mut vectors = self.vectors.write();
        let added = added.into_iter().flatten();
        Ok(added.map(|(key, vector)| vectors.codes.put(key, &vector)).count())
    }

    /// Adds vectors to the graph; those that had a direction, as they were added.
    fn add_part(
        &self,
        index: &Index,
        part: &[(u32, Vec<f32>)],
    ) -> Result<Vec<(u32, Vec<f32>)>, RetrievalError> {
        plugrank_background::give_way();
        let mut added = Vec::with_capacity(part.len());
        for (key, vector) in part {
            let Some(vector) = self.prepared(vector)? else { continue };
            index.add(u64::from(*key), &vector).map_err(refused)?;
            added.push((*key, vector));
        }
        Ok(added)
    }

    /// Puts a vector in the place of the one under the same key, if any. A vector without a
    /// direction only takes the old one out. Returns whether the key is in the index now.
    ///
    /// # Errors
    /// When the vector is of another size, or memory is short.
    pub fn put(&self, key: u32, vector: &[f32]) -> Result<bool, RetrievalError> {
        let prepared = self.prepared(vector)?;
        let mut vectors = self.vectors.write();
        vectors.remove(key)?;
        let Some(vector) = prepared else { return Ok(false) };
        let index = &vectors.index;
        if index.size() >= index.capacity() {
            let capacity = (index.size() * 3 / 2).max(1_024);
            index.reserve_capacity_and_threads(capacity, self.threads).map_err(refused)?;
        }
        vectors.add(key, &vector)?;
        Ok(true)
    }

    /// Takes a vector out; a key that is not there is no error.
    ///
    /// # Errors
    /// When memory is short.
    pub fn remove(&self, key: u32) -> Result<(), RetrievalError> {
        self.vectors.write().remove(key)
    }

    /// Whether there is a vector under a key.
    #[must_use]
    pub fn contains(&self, key: u32) -> bool {
        self.vectors.read().index.contains(u64::from(key))
    }

    /// Writes it to a file. Searches go on meanwhile, writers wait.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), RetrievalError> {
        self.vectors.read().index.save(text(path)?).map_err(refused)
    }

    /// Reads what [`Self::save`] wrote, with room for a tenth more. Its keys are below `end`.
    ///
    /// # Errors
    /// When the file cannot be read, or holds vectors of another size or kind than is set, or under other keys.
    pub fn load(
        path: &Path,
        dim: usize,
        end: u32,
        options: &AnnOptions,
    ) -> Result<Self, RetrievalError> {
        let ann = Self::new(dim, 0, options)?;
        {
            let Vectors { index, codes } = &mut *ann.vectors.write();
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
            let mut row = vec![0.0f32; dim];
            let mut found = 0;
            for key in 0..end {
                if read(index, key, &mut row) {
                    codes.put(key, &row);
                    found += 1;
                }
            }
            if found != index.size() {
                return Err(RetrievalError::Index(format!(
                    "{} holds {} vectors, of which {found} are of known items",
                    path.display(),
                    index.size()
                )));
            }
        }
        Ok(ann)
    }

    /// Writes the normalised vector under a key into `to`, of [`Self::dim`] elements; whether there
    /// is one.
    #[must_use]
    pub fn vector(&self, key: u32, to: &mut [f32]) -> bool {
        to.len() == self.dim && read(&self.vectors.read().index, key, to)
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
        let index = &self.vectors.read().index;
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
        let index = &self.vectors.read().index;
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
        let vectors = self.vectors.read();
        let coded: Vec<CodedQuery> =
            queries.iter().map(|(query, _)| CodedQuery::new(query)).collect();
        let more = |count: usize| count + count / 2 + SPARE;
        let mut nearest: Vec<NearestCodes> =
            queries.iter().map(|(_, count)| NearestCodes::new(more(*count))).collect();
        for key in keys {
            let Some(compared) = vectors.codes.compare(key, &coded) else { continue };
            for (near, nearest) in compared.zip(&mut nearest) {
                nearest.add(near, key);
            }
        }
        let exactly = |(nearest, (query, count)): (NearestCodes, &(&[f32], usize))| {
            let mut row = vec![0.0f32; self.dim];
            let product = |key: u32| {
                let there = read(&vectors.index, key, &mut row);
                let product = || query.iter().zip(&row).map(|(a, b)| a * b).sum::<f32>();
                there.then(|| (product(), key))
            };
            let mut found: Vec<(f32, u32)> = nearest.keys().filter_map(product).collect();
            found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            found.truncate(*count);
            found.into_iter().map(|(_, key)| key).collect()
        };
        nearest.into_iter().zip(queries).map(exactly).collect()
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

/// Reads the vector under a key; `false` without one.
fn read(index: &Index, key: u32, to: &mut [f32]) -> bool {
    index.get(u64::from(key), to).is_ok_and(|found| found == 1)
}

fn refused(error: impl std::fmt::Display) -> RetrievalError {
    RetrievalError::Index(error.to_string())
}

#[cfg(test)]
#[path = "ann_tests.rs"]
mod tests;
