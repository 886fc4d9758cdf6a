//! Diversity: a candidate counts for less the more similar it is to what stands above it.

use super::{Applied, Field, Rule};
use crate::RerankingOptions;

/// Maximal marginal relevance, J. Carbonell and J. Goldstein, SIGIR 1998: of the candidates left,
/// the next one has the greatest `λ r - (1 - λ) max s`, where `r` is its relevance and `max s` its
/// similarity to the most similar one already placed.
///
/// Relevance is the click probability as a share of the best one in the call, so that λ means the
/// same for users who click much and users who click little. A candidate's value is that in units
/// of click probability (multiplied by `best / λ`, which changes no order):
/// `ctr - best (1 - λ) / λ max s`. For the first item, and for λ = 1, that is the click
/// probability itself.
#[derive(Debug)]
pub struct Diversity {
    lambda: f32,
}

impl Diversity {
    /// With these settings.
    #[must_use]
    pub fn new(options: &RerankingOptions) -> Self {
        Self { lambda: options.lambda as f32 }
    }
}

impl Rule for Diversity {
    fn name(&self) -> &'static str {
        "diversity"
    }

    fn begin(&self, field: &Field<'_>) -> Option<Box<dyn Applied>> {
        let lambda = field.diversity.map_or(self.lambda, |diversity| 1.0 - diversity);
        let price = field.best().max(0.0) * (1.0 - lambda) / lambda;
        if price == 0.0 || field.pool < 2 {
            return None;
        }
        let pool = field.pool;
        let (nearest, similar) = (vec![0.0; pool], vec![0.0; pool]);
        Some(Box::new(Running { price, nearest, similar, vector: Vec::new(), placed: 0 }))
    }
}

struct Running {
    /// What full similarity costs, in click probability.
    price: f32,
    /// By item of the pool: its similarity to the most similar placed item.
    nearest: Vec<f32>,
    /// By item of the pool: its similarity to the item placed last.
    similar: Vec<f32>,
    /// The vector of the item placed last.
    vector: Vec<f32>,
    placed: usize,
}

impl Applied for Running {
    fn placed(&mut self, field: &Field<'_>, item: usize, values: &mut [f32]) {
        self.placed += 1;
        // What the last place is like concerns nobody.
        if self.placed >= field.k {
            return;
        }
        let pool = self.nearest.len().min(values.len());
        let similar = &mut self.similar[..pool];
        field.similarity.to_pool(item, &field.facts, &mut self.vector, similar);
        let pairs = self.nearest.iter_mut().zip(&self.similar);
        for (value, (nearest, similar)) in values.iter_mut().zip(pairs) {
            // Without a branch, so that several items are done at a time: what does not come nearer
            // costs nothing more.
            let nearer = nearest.max(*similar);
            *value -= self.price * (nearer - *nearest);
            *nearest = nearer;
        }
    }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::{Dtype, Matrix, reranking::RankFacts};

    use super::*;
    use crate::{Facts, similarity::Similarity};

    fn values(lambda: f32, diversity: Option<f32>, ctr: &[f32; 3]) -> Vec<f32> {
        let given = RankFacts {
            categories: vec![vec![0], vec![0], vec![1]],
            created_at: vec![None; 3],
            with_vector: Vec::new(),
            vectors: Matrix::empty(2, Dtype::F32),
        };
        let field = Field {
            ctr,
            facts: Facts::Given { facts: &given, order: &[0, 1, 2] },
            pool: 3,
            similarity: Similarity::by_categories(),
            k: 3,
            as_of: 0,
            seed: 0,
            diversity,
        };
        let mut values = ctr.to_vec();
        let rule = Diversity { lambda };
        if let Some(mut running) = rule.begin(&field) {
            running.placed(&field, 0, &mut values);
        }
        values
    }

    #[test]
    fn similarity_to_what_is_placed_costs() {
        // 0.4 * 0.2 / 0.8 = 0.1 is the price of full similarity.
        let values = values(0.8, None, &[0.4, 0.3, 0.25]);
        assert!((values[1] - 0.2).abs() < 1e-6);
        assert_eq!(values[2], 0.25);
    }

    #[test]
    fn lambda_one_is_click_probability_alone() {
        assert_eq!(values(1.0, None, &[0.4, 0.3, 0.25]), [0.4, 0.3, 0.25]);
    }

    #[test]
    fn a_request_says_more_than_the_settings() {
        assert_eq!(values(0.8, Some(0.0), &[0.4, 0.3, 0.25]), [0.4, 0.3, 0.25]);
        let more = values(1.0, Some(0.5), &[0.4, 0.3, 0.25]);
        assert!((more[1] + 0.1).abs() < 1e-6, "{more:?}");
    }
}
