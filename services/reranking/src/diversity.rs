//! Diversity: a candidate counts for less the more it is like what stands above it.

use crate::{ItemFacts, Likeness, options::DiversityOptions};

/// Maximal marginal relevance, J. Carbonell and J. Goldstein, SIGIR 1998: of the candidates left,
/// the next one has the greatest `λ r - (1 - λ) max s`, where `r` is its relevance and `max s` its
/// likeness to the most similar one already placed.
///
/// Relevance is the click probability as a share of the best one in the call, so that λ means the
/// same for users who click much and users who click little. What is returned is that value in
/// units of click probability (multiplied by `best / λ`, which changes no order):
/// `ctr - best (1 - λ) / λ max s`. For the first item, and for λ = 1, that is the click
/// probability itself.
pub struct Diversity<'a> {
    likeness: &'a Likeness,
    facts: &'a [ItemFacts],
    /// What full likeness costs, in click probability.
    price: f32,
    /// By item of the pool: its likeness to the most similar placed item.
    nearest: Vec<f32>,
}

impl<'a> Diversity<'a> {
    /// Over the first `pool` candidates, whose best click probability is `best`.
    #[must_use]
    pub fn new(
        options: &DiversityOptions,
        pool: usize,
        best: f32,
        likeness: &'a Likeness,
        facts: &'a [ItemFacts],
    ) -> Self {
        let price = best.max(0.0) * (1.0 - options.lambda) / options.lambda;
        Self { likeness, facts, price, nearest: vec![0.0; pool] }
    }

    /// What the order goes by for a candidate that is not yet placed.
    #[must_use]
    pub fn value(&self, item: usize, ctr: f32) -> f32 {
        ctr - self.price * self.nearest.get(item).copied().unwrap_or(0.0)
    }

    /// Takes note that an item was placed.
    pub fn placed(&mut self, item: usize) {
        if self.price == 0.0 {
            return;
        }
        for (other, nearest) in self.nearest.iter_mut().enumerate() {
            *nearest = nearest.max(self.likeness.between(item, other, self.facts));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Diversity;
    use crate::{ItemFacts, Likeness, options::DiversityOptions};

    #[test]
    fn likeness_to_what_is_placed_costs() {
        let facts = [[0], [0], [1]]
            .map(|categories| ItemFacts { categories: categories.to_vec(), created_at: None });
        let likeness = Likeness::by_categories();
        let mut diversity =
            Diversity::new(&DiversityOptions { lambda: 0.8 }, 3, 0.4, &likeness, &facts);
        assert_eq!(diversity.value(1, 0.3), 0.3);
        diversity.placed(0);
        // 0.4 * 0.2 / 0.8 = 0.1 is the price of full likeness.
        assert!((diversity.value(1, 0.3) - 0.2).abs() < 1e-6);
        assert_eq!(diversity.value(2, 0.25), 0.25);
    }

    #[test]
    fn lambda_one_is_click_probability_alone() {
        let facts = vec![ItemFacts { categories: vec![0], created_at: None }; 2];
        let likeness = Likeness::by_categories();
        let mut diversity =
            Diversity::new(&DiversityOptions { lambda: 1.0 }, 2, 0.4, &likeness, &facts);
        diversity.placed(0);
        assert_eq!(diversity.value(1, 0.3), 0.3);
    }
}
