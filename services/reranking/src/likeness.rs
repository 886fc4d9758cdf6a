//! How alike two items are.

use plugrank_contract::embedding::{FetchedVectors, RecordOrigin};

use crate::ItemFacts;

/// Compares the items of the pool: by the cosine of their PPM item vectors; where one of them has
/// no vector, by the share of their categories that they have in common.
#[derive(Clone, Debug, Default)]
pub struct Likeness {
    dim: usize,
    /// Normalised vectors, row by row; zeros where there is none.
    vectors: Vec<f32>,
    has_vector: Vec<bool>,
}

impl Likeness {
    /// Compares by categories alone.
    #[must_use]
    pub fn by_categories() -> Self {
        Self::default()
    }

    /// Compares by vectors, one row an item.
    ///
    /// # Errors
    /// When the answer does not have the `items` rows that were asked for.
    pub fn by_vectors(fetched: &FetchedVectors, items: usize) -> Result<Self, String> {
        let rows = &fetched.vectors;
        rows.validate().map_err(|error| error.to_string())?;
        if rows.rows() != items || fetched.origins.len() != items {
            return Err(format!(
                "asked for {items} vectors, got {} `vectors` and {} `origins`",
                rows.rows(),
                fetched.origins.len()
            ));
        }
        let mut vectors = Vec::with_capacity(items * rows.dim());
        let mut has_vector = Vec::with_capacity(items);
        for (row, origin) in fetched.origins.iter().enumerate() {
            let mut vector = rows.row_f32(row);
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            // A zero vector has no direction, and one that overflows none that can be trusted.
            let usable = *origin != RecordOrigin::Missing && norm.is_finite() && norm > 1e-12;
            let scale = if usable { 1.0 / norm } else { 0.0 };
            vector.iter_mut().for_each(|x| *x = if usable { *x * scale } else { 0.0 });
            vectors.extend(vector);
            has_vector.push(usable);
        }
        Ok(Self { dim: rows.dim(), vectors, has_vector })
    }

    /// How many of the items have a vector.
    #[must_use]
    pub fn with_vector(&self) -> usize {
        self.has_vector.iter().filter(|has| **has).count()
    }

    /// From 0, nothing in common, to 1, the same. A cosine below 0 counts as 0: being the opposite
    /// of something is no merit.
    #[must_use]
    pub fn between(&self, a: usize, b: usize, facts: &[ItemFacts]) -> f32 {
        let has = |item: usize| self.has_vector.get(item).copied().unwrap_or(false);
        if has(a) && has(b) {
            let row = |item: usize| &self.vectors[item * self.dim..(item + 1) * self.dim];
            return dot(row(a), row(b)).clamp(0.0, 1.0);
        }
        match (facts.get(a), facts.get(b)) {
            (Some(a), Some(b)) => overlap(&a.categories, &b.categories),
            _ => 0.0,
        }
    }
}

/// Inner product, summed in eight lanes: the compiler may not reorder a float sum by itself, and
/// without that it cannot use wide instructions.
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
    use plugrank_contract::{
        Dtype, Matrix,
        embedding::{FetchedVectors, RecordOrigin},
    };

    use super::{Likeness, dot};
    use crate::ItemFacts;

    fn facts(categories: &[u32]) -> ItemFacts {
        ItemFacts { categories: categories.to_vec(), created_at: None }
    }

    fn fetched(rows: &[[f32; 2]], origins: Vec<RecordOrigin>) -> FetchedVectors {
        let data = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        let vectors = Matrix::new(rows.len(), 2, Dtype::F32, data).unwrap();
        FetchedVectors { bundle: "b".to_owned(), vectors, origins }
    }

    #[test]
    fn vectors_first_then_categories() {
        use RecordOrigin::{Memory, Missing};
        let rows = [[2.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [5.0, 5.0], [0.0, 0.0]];
        let answer = fetched(&rows, vec![Memory, Memory, Memory, Missing, Memory]);
        let likeness = Likeness::by_vectors(&answer, 5).unwrap();
        let facts = [&[0, 1][..], &[0], &[], &[0, 2], &[]].map(facts);
        let between = |a, b| likeness.between(a, b, &facts);
        assert!((between(0, 1) - 0.5f32.sqrt()).abs() < 1e-6);
        assert_eq!(between(0, 2), 0.0, "an opposite");
        assert_eq!(between(0, 3), 1.0 / 3.0, "one of three categories");
        assert_eq!(between(2, 4), 0.0, "nothing known");
        assert_eq!(likeness.with_vector(), 3);
    }

    #[test]
    fn every_element_counts_once() {
        for len in [0usize, 1, 7, 8, 9, 32, 35] {
            let a: Vec<f32> = (0..len).map(|n| n as f32).collect();
            let expected: f32 = (0..len).map(|n| (n * n) as f32).sum();
            assert_eq!(dot(&a, &a), expected, "{len} elements");
        }
    }

    #[test]
    fn an_answer_that_does_not_fit_is_refused() {
        let answer = fetched(&[[1.0, 0.0]], vec![RecordOrigin::Memory]);
        let message = Likeness::by_vectors(&answer, 2).unwrap_err();
        assert!(message.contains("asked for 2"), "{message}");
    }
}
