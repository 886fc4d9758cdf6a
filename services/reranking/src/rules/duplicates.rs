//! Duplicates: of several items that are the same by all that is known about them, the best is placed.

use super::{Applied, Field, Rule};

/// Similarity from which two items count as the same. Rounding of vectors stays well above it.
const SAME: f32 = 0.999_99;

/// Holds back what has the vector of an item that is placed already: another offer, or another entry
/// of the same product. Only where all items compared have vectors: having the same categories makes
/// no duplicates.
#[derive(Debug)]
pub struct Duplicates {
    on: bool,
}

impl Duplicates {
    /// Whether it holds anything back.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }
}

impl Rule for Duplicates {
    fn name(&self) -> &'static str {
        "duplicates"
    }

    fn begin(&self, field: &Field<'_>) -> Option<Box<dyn Applied>> {
        let compared = field.pool > 1 && field.similarity.with_vector() == field.pool;
        (self.on && compared).then(|| -> Box<dyn Applied> {
            Box::new(Placed { pool: field.pool, items: Vec::with_capacity(field.k) })
        })
    }
}

struct Placed {
    /// Items up to here are compared.
    pool: usize,
    /// Those of them that have a place.
    items: Vec<usize>,
}

impl Applied for Placed {
    fn placed(&mut self, _: &Field<'_>, item: usize, _: &mut [f32]) {
        if item < self.pool {
            self.items.push(item);
        }
    }

    fn admits(&self, field: &Field<'_>, item: usize) -> bool {
        let same = |placed: &usize| field.similarity.between(item, *placed, &field.facts) >= SAME;
        item >= self.pool || !self.items.iter().any(same)
    }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::{
        Dtype, Matrix,
        reranking::{RankFacts, RuleFacts},
    };

    use super::Duplicates;
    use crate::{
        Facts,
        place::{CAP_RELAXED, RANKED},
        rules::{Field, Rule},
        selection::select,
        similarity::Similarity,
    };

    /// Places of three items with these vectors, the first two of one category.
    fn placed(on: bool, vectors: &[[f32; 2]]) -> Vec<(usize, &'static str)> {
        let data = vectors.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        let facts = RankFacts {
            categories: vec![vec![0], vec![0], vec![1]],
            created_at: vec![None; 3],
            with_vector: (0..vectors.len() as u32).collect(),
            vectors: Matrix::new(vectors.len(), 2, Dtype::F32, data).unwrap(),
            rules: RuleFacts::default(),
        };
        let order = [0, 1, 2];
        let field = Field {
            value: &[0.4, 0.3, 0.2],
            ctr: &[0.4, 0.3, 0.2],
            rule_facts: &RuleFacts::default(),
            order: &order,
            before: 0,
            similarity: Similarity::of_facts(&facts, &order).unwrap(),
            facts: Facts::Given { facts: &facts, order: &order },
            pool: 3,
            k: 3,
            as_of: 0,
            seed: 0,
        };
        let rules: [Box<dyn Rule>; 1] = [Box::new(Duplicates::new(on))];
        let rule = |rule: &str| if rule == RANKED { "ranked" } else { "relaxed" };
        let places = select(&field, rules.iter().map(|rule| &**rule));
        assert!(places.iter().all(|place| place.rule == RANKED || place.rule == CAP_RELAXED));
        places.iter().map(|place| (place.item, rule(&place.rule))).collect()
    }

    #[test]
    fn duplicates_are_placed_last() {
        let (ranked, relaxed) = ("ranked", "relaxed");
        let places = placed(true, &[[1.0, 1.0], [2.0, 2.0], [1.0, 0.0]]);
        assert_eq!(places, [(0, ranked), (2, ranked), (1, relaxed)]);
        let places = placed(true, &[[1.0, 1.0], [1.0, 1.1], [1.0, 0.0]]);
        assert_eq!(places, [0, 1, 2].map(|item| (item, ranked)), "similar is not identical");
        let places = placed(true, &[[1.0, 1.0], [1.0, 1.0]]);
        assert_eq!(
            places,
            [0, 1, 2].map(|item| (item, ranked)),
            "without vectors of all items the rule does nothing"
        );
        let places = placed(false, &[[1.0, 1.0], [2.0, 2.0], [1.0, 0.0]]);
        assert_eq!(places, [0, 1, 2].map(|item| (item, ranked)), "the rule is off");
    }
}
