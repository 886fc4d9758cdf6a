//! Diversity as Plugrank has it: maximal marginal relevance, J. Carbonell and J. Goldstein, SIGIR 1998.

/// Vectors by which items are compared, and how much that counts.
pub(crate) struct Mmr {
    /// Normalised, row by row.
    pub(crate) vectors: Vec<f32>,
    pub(crate) dim: usize,
    /// Weight of the click probability, above 0, at most 1.
    pub(crate) lambda: f32,
    /// Candidates, best first, that are compared.
    pub(crate) pool: usize,
}

impl Mmr {
    /// `k` places in `ranked` (item and click probability, best first), each with the value that put
    /// it there: `p - best (1 - lambda) / lambda * similarity to the nearest placed`.
    pub(crate) fn pick(&self, ranked: &[(u32, f32)], k: usize) -> Vec<(usize, f32)> {
        let pool = &ranked[..self.pool.min(ranked.len())];
        let best = pool.first().map_or(0.0, |(_, ctr)| *ctr);
        let price = best * (1.0 - self.lambda) / self.lambda;
        let mut values: Vec<f32> = pool.iter().map(|(_, ctr)| *ctr).collect();
        let mut nearest = vec![0.0f32; pool.len()];
        let mut placed = Vec::with_capacity(k);
        while placed.len() < k.min(pool.len()) {
            let choice = values.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
            let Some((place, value)) = choice.map(|(place, value)| (place, *value)) else { break };
            placed.push((place, value));
            let chosen = self.vector(pool[place].0);
            for (other, (item, ctr)) in pool.iter().enumerate() {
                if values[other] > f32::NEG_INFINITY {
                    nearest[other] = nearest[other].max(dot(chosen, self.vector(*item)));
                    values[other] = ctr - price * nearest[other];
                }
            }
            values[place] = f32::NEG_INFINITY;
        }
        placed
    }

    fn vector(&self, item: u32) -> &[f32] {
        let start = item as usize * self.dim;
        &self.vectors[start..start + self.dim]
    }
}

/// Inner product in eight lanes, so that the compiler can use wide instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::Mmr;

    #[test]
    fn an_item_similar_to_a_placed_one_comes_later() {
        let vectors = vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        let mmr = Mmr { vectors, dim: 2, lambda: 0.8, pool: 10 };
        let ranked = [(0, 0.4), (1, 0.35), (2, 0.3)];
        let places: Vec<usize> = mmr.pick(&ranked, 3).into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [0, 2, 1]);
        let plain = Mmr { lambda: 1.0, ..mmr };
        let places: Vec<usize> =
            plain.pick(&ranked, 2).into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [0, 1]);
    }
}
