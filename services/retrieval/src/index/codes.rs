//! Vectors of the index once more, a byte an element, where they are compared one after another.
//!
//! The graph's library finds a vector by a hash of its key, in memory that lies anywhere: to read fifty thousand takes
//! twenty milliseconds. Here a vector lies where its key says, and what a byte an element cannot tell apart is
//! compared exactly afterwards.

/// Vectors of a page.
const PAGE_ROWS: usize = 1_024;
/// What the largest element of a vector becomes.
const MOST: f32 = 127.0;
/// Elements of a vector that are added up apart, so that one addition need not wait for another.
const LANES: usize = 16;

/// Vectors by key, each with its elements as parts of its largest.
#[derive(Debug)]
pub(super) struct Codes {
    dim: usize,
    pages: Vec<Option<Box<Page>>>,
}

#[derive(Debug)]
struct Page {
    /// What one step of an element is worth; 0 where there is no vector.
    steps: [f32; PAGE_ROWS],
    elements: Vec<i8>,
}

/// A vector that others are compared with.
#[derive(Debug)]
pub(super) struct CodedQuery {
    elements: Vec<i16>,
}

impl CodedQuery {
    /// In finer steps than the vectors that it is compared with, but not so fine that a sum of products overflows.
    pub(super) fn new(vector: &[f32]) -> Self {
        let most = (i32::MAX as f32 / MOST / vector.len() as f32).min(f32::from(i16::MAX)) / 2.0;
        let largest = largest(vector);
        let scale = if largest > 0.0 { most / largest } else { 0.0 };
        Self { elements: vector.iter().map(|x| (x * scale).round() as i16).collect() }
    }
}

impl Codes {
    pub(super) fn new(dim: usize) -> Self {
        Self { dim, pages: Vec::new() }
    }

    /// Puts a vector in the place of the one under the same key, if any.
    pub(super) fn put(&mut self, key: u32, vector: &[f32]) {
        let (page, row) = place(key);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let dim = self.dim;
        let page = self.pages[page].get_or_insert_with(|| {
            Box::new(Page { steps: [0.0; PAGE_ROWS], elements: vec![0; PAGE_ROWS * dim] })
        });
        let largest = largest(vector);
        let scale = if largest > 0.0 { MOST / largest } else { 0.0 };
        for (code, x) in page.elements[row * dim..][..dim].iter_mut().zip(vector) {
            *code = (x * scale).round() as i8;
        }
        page.steps[row] = largest / MOST;
    }

    /// Takes a vector out.
    pub(super) fn remove(&mut self, key: u32) {
        let (page, row) = place(key);
        if let Some(Some(page)) = self.pages.get_mut(page) {
            page.steps[row] = 0.0;
        }
    }

    /// About how near the vector under a key is to each query, by a common measure of each; `None` without a vector.
    pub(super) fn compare<'a>(
        &'a self,
        key: u32,
        queries: &'a [CodedQuery],
    ) -> Option<impl Iterator<Item = f32> + 'a> {
        let (page, row) = place(key);
        let page = self.pages.get(page)?.as_ref()?;
        let step = page.steps[row];
        let elements = &page.elements[row * self.dim..][..self.dim];
        (step > 0.0).then(|| {
            queries.iter().map(move |query| product(elements, &query.elements) as f32 * step)
        })
    }

    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let page = size_of::<Page>() + PAGE_ROWS * self.dim;
        self.pages.iter().flatten().count() * page
    }
}

fn place(key: u32) -> (usize, usize) {
    (key as usize / PAGE_ROWS, key as usize % PAGE_ROWS)
}

fn largest(vector: &[f32]) -> f32 {
    vector.iter().fold(0.0, |most, x| x.abs().max(most))
}

/// Sum of the products of elements.
fn product(codes: &[i8], query: &[i16]) -> i32 {
    let mut sums = [0i32; LANES];
    let (codes, codes_left) = codes.as_chunks::<LANES>();
    let (query, query_left) = query.as_chunks::<LANES>();
    for (codes, query) in codes.iter().zip(query) {
        for lane in 0..LANES {
            sums[lane] += i32::from(codes[lane]) * i32::from(query[lane]);
        }
    }
    let left = codes_left.iter().zip(query_left).map(|(a, b)| i32::from(*a) * i32::from(*b));
    sums.iter().sum::<i32>() + left.sum::<i32>()
}

/// The nearest of many, so many at most.
pub(super) struct NearestCodes {
    count: usize,
    found: Vec<(f32, u32)>,
    /// What is not nearer than this is not among them.
    least: f32,
}

impl NearestCodes {
    pub(super) fn new(count: usize) -> Self {
        // Sorted out only when there are as many again: the more seldom, the less it costs for each.
        let found = Vec::with_capacity(count.saturating_mul(2).min(1 << 16));
        Self { count, found, least: f32::NEG_INFINITY }
    }

    pub(super) fn add(&mut self, near: f32, key: u32) {
        if near <= self.least {
            return;
        }
        self.found.push((near, key));
        if self.found.len() >= self.count * 2 {
            self.sort_out();
        }
    }

    fn sort_out(&mut self) {
        if self.count < self.found.len() {
            let nearer = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0);
            let (_, (last, _), _) = self.found.select_nth_unstable_by(self.count, nearer);
            self.least = *last;
            self.found.truncate(self.count);
        }
    }

    /// Their keys, in no order.
    pub(super) fn keys(mut self) -> impl Iterator<Item = u32> {
        self.sort_out();
        self.found.into_iter().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn codes_compare_as_vectors_do() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for dim in [1, 15, 16, 33, 4_096] {
            let mut random = || (0..dim).map(|_| rng.random_range(-1.0f32..1.0)).collect();
            let (mut codes, query): (_, Vec<f32>) = (Codes::new(dim), random());
            let coded = [CodedQuery::new(&query)];
            let unit = largest(&query) / (i32::MAX as f32 / MOST / dim as f32).min(32_767.0) * 2.0;
            for key in [0, 7, 1_023, 1_024, 5_000] {
                let vector: Vec<f32> = random();
                codes.put(key, &vector);
                let exact: f32 = vector.iter().zip(&query).map(|(a, b)| a * b).sum();
                let near = codes.compare(key, &coded).unwrap().next().unwrap() * unit;
                let error = (near - exact).abs() / (dim as f32).sqrt();
                assert!(error < 0.01, "{dim} elements: {near} for {exact}");
            }
        }
    }

    #[test]
    fn the_largest_sum_does_not_overflow() {
        for dim in [1, 2_048, 100_000] {
            let (mut codes, vector) = (Codes::new(dim), vec![-1.0; dim]);
            codes.put(0, &vector);
            let near = codes.compare(0, &[CodedQuery::new(&vector)]).unwrap().next().unwrap();
            assert!(near > 0.0, "{dim} elements: {near}");
        }
    }

    #[test]
    fn removed_and_unknown_keys_are_not_compared() {
        let mut codes = Codes::new(2);
        codes.put(3, &[1.0, 0.5]);
        codes.remove(9_999);
        let query = [CodedQuery::new(&[0.0, 1.0])];
        let there = |codes: &Codes, key| codes.compare(key, &query).is_some();
        assert_eq!([2, 3, 9_999].map(|key| there(&codes, key)), [false, true, false]);
        codes.remove(3);
        assert!(!there(&codes, 3));
        codes.put(3, &[0.0, 1.0]);
        assert!(there(&codes, 3) && codes.bytes() > 2 * 1_024);
    }

    #[test]
    fn the_nearest_are_kept_of_many() {
        let mut nearest = NearestCodes::new(3);
        for key in 0..100u32 {
            nearest.add((key * 37 % 100) as f32, key);
        }
        let mut keys: Vec<u32> = nearest.keys().collect();
        keys.sort_by_key(|key| key * 37 % 100);
        assert_eq!(keys.iter().map(|key| key * 37 % 100).collect::<Vec<_>>(), [97, 98, 99]);
        assert_eq!(NearestCodes::new(0).keys().count(), 0);
    }
}
