//! How similar two candidates are.

use plugrank_contract::{ItemIndex, matrix::decode_f32, reranking::RankFacts};
use plugrank_items::{RecordElements, Records, View};
use pulp::Arch;

use crate::Facts;

/// Candidates that are compared at a time: those whose elements lie side by side.
const LANES: usize = 16;

/// Marks a place without a row.
const NO_ROW: usize = usize::MAX;

/// Compares the candidates of the pool: by the cosine of their PPM item vectors; where one of them
/// has no vector, by the share of their categories that they have in common.
#[derive(Clone, Debug, Default)]
pub struct Similarity {
    dim: usize,
    /// Normalised vectors in blocks of [`LANES`] candidates, element by element: the first element
    /// of all candidates of the block, then the second. One candidate is compared with a block
    /// without adding up lanes. Zeros where there is no vector.
    blocks: Vec<f32>,
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

    /// Compares by the vectors that the item table has; by categories alone where the bundle has none.
    #[must_use]
    pub fn of_table(records: &Records, view: &View<'_>, pool: &[ItemIndex]) -> Self {
        let Some(part) = records.layout().vector() else { return Self::by_categories() };
        let mut similarity = Self::with_room(part.dim, pool.len());
        // Found first and read then, so that the processor waits for several rows at a time.
        let row = |index: &ItemIndex| records.of_content(*index, view.content(*index));
        let rows: Vec<_> = pool.iter().map(row).collect();
        let mut vector = Vec::with_capacity(part.dim);
        for row in rows {
            match row.map(|row| row.part(part)) {
                Some(RecordElements::F32(elements)) => similarity.add(elements),
                Some(elements) => {
                    vector.clear();
                    elements.append_to(&mut vector);
                    similarity.add(&vector);
                }
                None => similarity.add(&[]),
            }
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
        let end = pool.iter().max().map_or(0, |last| *last as usize + 1);
        let mut row_of = vec![NO_ROW; end];
        for (row, place) in facts.with_vector.iter().enumerate() {
            if let Some(of) = row_of.get_mut(*place as usize) {
                *of = row;
            }
        }
        let mut similarity = Self::with_room(rows.dim(), pool.len());
        let mut vector = Vec::with_capacity(rows.dim());
        for place in pool {
            vector.clear();
            match row_of[*place as usize] {
                NO_ROW => {}
                row => vector.extend(decode_f32(rows.dtype(), rows.row(row))),
            }
            similarity.add(&vector);
        }
        Ok(similarity)
    }

    fn with_room(dim: usize, pool: usize) -> Self {
        Self {
            dim,
            blocks: vec![0.0; pool.div_ceil(LANES) * dim * LANES],
            has_vector: Vec::with_capacity(pool),
            complete: dim > 0,
            arch: Arch::new(),
        }
    }

    /// Adds the next candidate's vector, normalised. A zero vector has no direction, and one that
    /// overflows none that can be trusted: these count as none.
    fn add(&mut self, vector: &[f32]) {
        let norm = self.arch.dispatch(|| squares(vector)).sqrt();
        let usable = vector.len() == self.dim && norm.is_finite() && norm > 1e-12;
        if usable {
            let scale = 1.0 / norm;
            let start = self.start(self.has_vector.len());
            let lane = self.blocks[start..].iter_mut().step_by(LANES);
            lane.zip(vector).for_each(|(to, x)| *to = *x * scale);
        }
        self.complete &= usable;
        self.has_vector.push(usable);
    }

    /// Where the first element of a candidate's vector is.
    fn start(&self, item: usize) -> usize {
        item / LANES * self.dim * LANES + item % LANES
    }

    /// The elements of a candidate's vector.
    fn vector(&self, item: usize) -> impl Iterator<Item = f32> {
        self.blocks[self.start(item)..].iter().step_by(LANES).take(self.dim).copied()
    }

    /// How many of the candidates have a vector.
    #[must_use]
    pub fn with_vector(&self) -> usize {
        self.has_vector.iter().filter(|has| **has).count()
    }

    fn has(&self, item: usize) -> bool {
        self.has_vector.get(item).copied().unwrap_or(false)
    }

    /// Writes the similarity of `item` to each of the first candidates of the pool, as many as `to`
    /// has places. `vector` is memory to work in.
    pub fn to_pool(&self, item: usize, facts: &Facts<'_>, vector: &mut Vec<f32>, to: &mut [f32]) {
        if !self.complete || to.len() > self.has_vector.len() || !self.has(item) {
            let all = to.iter_mut().enumerate();
            return all.for_each(|(other, to)| *to = self.between(item, other, facts));
        }
        // The usual case: all in one sweep over the blocks, with the widest instructions of the
        // processor.
        vector.clear();
        vector.extend(self.vector(item));
        self.arch.dispatch(|| {
            let blocks = self.blocks.chunks_exact(self.dim * LANES);
            for (to, block) in to.chunks_mut(LANES).zip(blocks) {
                let products = products(vector, block);
                to.iter_mut().zip(products).for_each(|(to, product)| *to = product.clamp(0.0, 1.0));
            }
        });
    }

    /// From 0, nothing in common, to 1, the same. A cosine below 0 counts as 0: being the opposite
    /// of something is no merit.
    #[must_use]
    pub fn between(&self, a: usize, b: usize, facts: &Facts<'_>) -> f32 {
        if self.has(a) && self.has(b) {
            let products = self.vector(a).zip(self.vector(b)).map(|(a, b)| a * b);
            return products.fold(0.0, |sum, product| sum + product).clamp(0.0, 1.0);
        }
        overlap(facts.categories(a), facts.categories(b))
    }
}

/// Inner products of a vector with all candidates of a block: each is added up in the order of the
/// elements, so that it is the same number however wide the processor's instructions are.
#[inline(always)]
fn products(vector: &[f32], block: &[f32]) -> [f32; LANES] {
    let mut sums = [0.0f32; LANES];
    for (x, elements) in vector.iter().zip(block.as_chunks::<LANES>().0) {
        for (sum, y) in sums.iter_mut().zip(elements) {
            *sum += x * y;
        }
    }
    sums
}

/// The sum of the squares, in several lanes: the compiler may not reorder a float sum by itself, and
/// without that it cannot use wide instructions.
#[inline(always)]
fn squares(vector: &[f32]) -> f32 {
    let (chunks, rest) = vector.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}

/// Common categories over all categories of both (Jaccard index); 0 when there are none.
fn overlap(a: &[u32], b: &[u32]) -> f32 {
    let common = a.iter().filter(|category| b.contains(category)).count();
    let all = a.len() + b.len() - common;
    if all == 0 { 0.0 } else { common as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::{Dtype, Matrix, reranking::RuleFacts};

    use super::*;

    fn facts(rows: &[[f32; 2]], with_vector: &[u32], categories: &[&[u32]]) -> RankFacts {
        let data = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        RankFacts {
            categories: categories.iter().map(|list| list.to_vec()).collect(),
            created_at: vec![None; categories.len()],
            with_vector: with_vector.to_vec(),
            vectors: Matrix::new(rows.len(), 2, Dtype::F32, data).unwrap(),
            rules: RuleFacts::default(),
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
        let mut swept = [0.0; 5];
        similarity.to_pool(0, &facts, &mut Vec::new(), &mut swept);
        assert_eq!(swept, [0, 1, 2, 3, 4].map(|other| between(0, other)));
        let odd = RankFacts { with_vector: vec![0], ..given };
        assert!(Similarity::of_facts(&odd, &order).unwrap_err().contains("4 vectors"));
    }

    #[test]
    fn one_pass_equals_pairwise_similarity() {
        // Several blocks, the last of them not full, of vectors that no lane divides.
        let (pool, dim) = (2 * LANES + 5, LANES + 3);
        let element = |n: usize| ((n * 2_654_435_761) % 1_009) as f32 / 1_009.0 - 0.3;
        let data = (0..pool * dim).flat_map(|n| element(n).to_le_bytes()).collect();
        let order: Vec<u32> = (0..pool as u32).rev().collect();
        let given = RankFacts {
            categories: vec![Vec::new(); pool],
            created_at: vec![None; pool],
            with_vector: (0..pool as u32).collect(),
            vectors: Matrix::new(pool, dim, Dtype::F32, data).unwrap(),
            rules: RuleFacts::default(),
        };
        let similarity = Similarity::of_facts(&given, &order).unwrap();
        assert_eq!(similarity.with_vector(), pool);
        let facts = Facts::Given { facts: &given, order: &order };
        for item in 0..pool {
            let mut swept = vec![0.0; pool];
            similarity.to_pool(item, &facts, &mut Vec::new(), &mut swept);
            let pairs: Vec<f32> =
                (0..pool).map(|other| similarity.between(item, other, &facts)).collect();
            assert_eq!(swept, pairs);
            assert!((swept[item] - 1.0).abs() < 1e-6);
        }
        let cosine = |a: usize, b: usize| {
            let row = |item: usize| {
                let row = (pool - 1 - item) * dim;
                (row..row + dim).map(|n| f64::from(element(n))).collect::<Vec<_>>()
            };
            let (a, b) = (row(a), row(b));
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
        };
        for (a, b) in [(0, 1), (3, LANES + 2), (pool - 1, LANES)] {
            let expected = cosine(a, b).clamp(0.0, 1.0);
            assert!((f64::from(similarity.between(a, b, &facts)) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn the_dot_product_counts_every_element_once() {
        for len in [0usize, 1, 15, 16, 17, 32, 35] {
            let a: Vec<f32> = (0..len).map(|n| n as f32).collect();
            let expected: f32 = (0..len).map(|n| (n * n) as f32).sum();
            assert_eq!(squares(&a), expected, "{len} elements");
        }
    }
}
