//! How similar two candidates are.

use plugrank_contract::{ItemIndex, matrix::decode_f32, reranking::RankFacts};
use plugrank_items::{Records, View};
use pulp::Arch;

use crate::Facts;

/// Compares the candidates of the pool: by the cosine of their PPM item vectors; where one of them
/// has no vector, by the share of their categories that they have in common.
#[derive(Clone, Debug, Default)]
pub struct Similarity {
    dim: usize,
    /// Normalised vectors, row by row; zeros where there is none.
    vectors: Vec<f32>,
    has_vector: Vec<bool>,
    /// Whether every candidate of the pool has one.
    complete: bool,
    arch: Arch,
}

impl Similarity {
    /// Compares by categories alone.
    #[must_use]
    pub fn by_categories() -> Self {
        Self::default()
    }

    /// Compares by the vectors that the item table has.
    #[must_use]
    pub fn of_table(records: &Records, view: &View<'_>, pool: &[ItemIndex]) -> Self {
        let part = records.layout().vector();
        let mut similarity = Self::with_room(part.dim, pool.len());
        for index in pool {
            let start = similarity.vectors.len();
            if let Some(row) = records.of_content(*index, view.content(*index)) {
                row.part(part).append_to(&mut similarity.vectors);
            }
            similarity.added(start);
        }
        similarity
    }

    /// Compares by vectors that came with the scores; `pool` are places in the list given.
    ///
    /// # Errors
    /// When what came does not fit together.
    pub fn of_facts(facts: &RankFacts, pool: &[u32]) -> Result<Self, String> {
        let rows = &facts.vectors;
        rows.validate().map_err(|error| error.to_string())?;
        if rows.rows() != facts.with_vector.len() {
            let (rows, places) = (rows.rows(), facts.with_vector.len());
            return Err(format!("{rows} vectors came for {places} candidates"));
        }
        let mut similarity = Self::with_room(rows.dim(), pool.len());
        for place in pool {
            let start = similarity.vectors.len();
            if let Some(row) = facts.with_vector.iter().position(|with| with == place) {
                similarity.vectors.extend(decode_f32(rows.dtype(), rows.row(row)));
            }
            similarity.added(start);
        }
        Ok(similarity)
    }

    fn with_room(dim: usize, pool: usize) -> Self {
        Self {
            dim,
            vectors: Vec::with_capacity(dim * pool),
            has_vector: Vec::with_capacity(pool),
            complete: dim > 0,
            arch: Arch::new(),
        }
    }

    /// Normalises the vector from `start` on. A zero vector has no direction, and one that overflows
    /// none that can be trusted: these count as none.
    fn added(&mut self, start: usize) {
        let vector = &mut self.vectors[start..];
        let norm = dot(vector, vector).sqrt();
        let usable = vector.len() == self.dim && norm.is_finite() && norm > 1e-12;
        if usable {
            let scale = 1.0 / norm;
            vector.iter_mut().for_each(|x| *x *= scale);
        } else {
            self.vectors.truncate(start);
            self.vectors.resize(start + self.dim, 0.0);
        }
        self.complete &= usable;
        self.has_vector.push(usable);
    }

    /// How many of the candidates have a vector.
    #[must_use]
    pub fn with_vector(&self) -> usize {
        self.has_vector.iter().filter(|has| **has).count()
    }

    fn has(&self, item: usize) -> bool {
        self.has_vector.get(item).copied().unwrap_or(false)
    }

    fn row(&self, item: usize) -> &[f32] {
        &self.vectors[item * self.dim..(item + 1) * self.dim]
    }

    /// Hands every candidate of the pool, and its similarity to `item`, to `each`.
    pub fn to_pool(
        &self,
        item: usize,
        pool: usize,
        facts: &Facts<'_>,
        each: impl FnMut(usize, f32),
    ) {
        let mut each = each;
        if !self.complete || !self.has(item) {
            return (0..pool).for_each(|other| each(other, self.between(item, other, facts)));
        }
        // The usual case: all in one sweep over the vectors, with the widest instructions of the
        // processor.
        let (vector, dim) = (self.row(item), self.dim);
        self.arch.dispatch(|| {
            for (other, row) in self.vectors.chunks_exact(dim).take(pool).enumerate() {
                each(other, dot(vector, row).clamp(0.0, 1.0));
            }
        });
    }

    /// From 0, nothing in common, to 1, the same. A cosine below 0 counts as 0: being the opposite
    /// of something is no merit.
    #[must_use]
    pub fn between(&self, a: usize, b: usize, facts: &Facts<'_>) -> f32 {
        if self.has(a) && self.has(b) {
            return dot(self.row(a), self.row(b)).clamp(0.0, 1.0);
        }
        overlap(facts.categories(a), facts.categories(b))
    }
}

/// Inner product, summed in eight lanes: the compiler may not reorder a float sum by itself, and
/// without that it cannot use wide instructions.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.0.iter().zip(b.0) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += x * y;
        }
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Common categories over all categories of both (Jaccard index); 0 when there are none.
fn overlap(a: &[u32], b: &[u32]) -> f32 {
    let common = a.iter().filter(|category| b.contains(category)).count();
    let all = a.len() + b.len() - common;
    if all == 0 { 0.0 } else { common as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::{Dtype, Matrix};

    use super::*;

    fn facts(rows: &[[f32; 2]], with_vector: &[u32], categories: &[&[u32]]) -> RankFacts {
        let data = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        RankFacts {
            categories: categories.iter().map(|list| list.to_vec()).collect(),
            created_at: vec![None; categories.len()],
            with_vector: with_vector.to_vec(),
            vectors: Matrix::new(rows.len(), 2, Dtype::F32, data).unwrap(),
        }
    }

    #[test]
    fn vectors_first_then_categories() {
        let rows = [[2.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [0.0, 0.0]];
        let given = facts(&rows, &[0, 1, 2, 4], &[&[0, 1], &[0], &[], &[0, 2], &[]]);
        let order = [0, 1, 2, 3, 4];
        let similarity = Similarity::of_facts(&given, &order).unwrap();
        let facts = Facts::Given { facts: &given, order: &order };
        let between = |a, b| similarity.between(a, b, &facts);
        assert!((between(0, 1) - 0.5f32.sqrt()).abs() < 1e-6);
        assert_eq!(between(0, 2), 0.0, "an opposite");
        assert_eq!(between(0, 3), 1.0 / 3.0, "one of three categories");
        assert_eq!(between(2, 4), 0.0, "nothing known");
        assert_eq!(similarity.with_vector(), 3);
        let mut swept = Vec::new();
        similarity.to_pool(0, 5, &facts, |other, value| swept.push((other, value)));
        assert!(swept.into_iter().eq((0..5).map(|other| (other, between(0, other)))));
        let odd = RankFacts { with_vector: vec![0], ..given };
        assert!(Similarity::of_facts(&odd, &order).unwrap_err().contains("4 vectors"));
    }

    #[test]
    fn one_sweep_says_the_same_as_pairs() {
        let rows = [[2.0, 0.0], [1.0, 1.0], [-1.0, 0.0]];
        let given = facts(&rows, &[0, 1, 2], &[&[], &[], &[]]);
        let order = [2, 0, 1];
        let similarity = Similarity::of_facts(&given, &order).unwrap();
        let facts = Facts::Given { facts: &given, order: &order };
        for item in 0..3 {
            let mut swept = Vec::new();
            similarity.to_pool(item, 3, &facts, |_, value| swept.push(value));
            assert!(
                swept.into_iter().eq((0..3).map(|other| similarity.between(item, other, &facts)))
            );
        }
    }

    #[test]
    fn every_element_counts_once() {
        for len in [0usize, 1, 7, 8, 9, 32, 35] {
            let a: Vec<f32> = (0..len).map(|n| n as f32).collect();
            let expected: f32 = (0..len).map(|n| (n * n) as f32).sum();
            assert_eq!(dot(&a, &a), expected, "{len} elements");
        }
    }
}
