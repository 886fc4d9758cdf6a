//! Diversity: a candidate counts for less the more similar it is to what stands above it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Applied, Field, Rule, RuleKind};
use crate::inputs::Inputs;

/// Similar items count for less, by maximal marginal relevance over the item vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiversityOptions {
    /// Weight of an item's worth against diversity; above 0, 1 turns diversity off.
    pub lambda: f64,
}

impl RuleKind for DiversityOptions {
    fn problem(&self) -> Option<String> {
        let wrong = !(0.01..=1.0).contains(&self.lambda);
        wrong.then(|| format!("`lambda` is {}; it must be 0.01 to 1", self.lambda))
    }

    fn build(&self, _: &mut Inputs) -> Box<dyn Rule> {
        Box::new(Diversity { lambda: self.lambda as f32 })
    }
}

/// What the rule is called.
pub(crate) const NAME: &str = "diversity";

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
    /// With this weight of worth against diversity.
    #[must_use]
    pub fn new(lambda: f64) -> Self {
        Self { lambda: lambda as f32 }
    }

    /// With so much of it for one request: from 0, none, to 1, most.
    #[must_use]
    pub fn of_request(diversity: f32) -> Self {
        Self { lambda: (1.0 - diversity).clamp(0.01, 1.0) }
    }
}

impl Rule for Diversity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_single(&self) -> bool {
        true
    }

    fn begin(&self, field: &Field<'_>) -> Option<Box<dyn Applied>> {
        let price = field.best().max(0.0) * (1.0 - self.lambda) / self.lambda;
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
        // Nothing is compared with the last place.
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
    use plugrank_contract::{
        Dtype, Matrix,
        reranking::{RankFacts, RuleFacts},
    };

    use super::*;
    use crate::{Facts, similarity::Similarity};

    fn values(lambda: f32, ctr: &[f32; 3]) -> Vec<f32> {
        let given = RankFacts {
            categories: vec![vec![0], vec![0], vec![1]],
            created_at: vec![None; 3],
            with_vector: Vec::new(),
            vectors: Matrix::empty(2, Dtype::F32),
            rules: RuleFacts::default(),
        };
        let field = Field {
            value: ctr,
            ctr,
            rule_facts: &RuleFacts::default(),
            order: &[0, 1, 2],
            before: 0,
            facts: Facts::Given { facts: &given, order: &[0, 1, 2] },
            pool: 3,
            similarity: Similarity::by_categories(),
            k: 3,
            as_of: 0,
            seed: 0,
        };
        let mut values = ctr.to_vec();
        let rule = Diversity { lambda };
        if let Some(mut running) = rule.begin(&field) {
            running.placed(&field, 0, &mut values);
        }
        values
    }

    #[test]
    fn similarity_to_placed_items_lowers_the_score() {
        // 0.4 * 0.2 / 0.8 = 0.1 is the price of full similarity.
        let values = values(0.8, &[0.4, 0.3, 0.25]);
        assert!((values[1] - 0.2).abs() < 1e-6);
        assert_eq!(values[2], 0.25);
    }

    #[test]
    fn lambda_one_sorts_by_click_probability_alone() {
        assert_eq!(values(1.0, &[0.4, 0.3, 0.25]), [0.4, 0.3, 0.25]);
    }
}
