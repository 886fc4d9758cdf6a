//! What every answer of the rules keeps, whatever the candidates.

use std::collections::{BTreeMap, HashSet};

use plugrank_contract::{Dtype, ItemId, ItemList, Matrix, reranking::RankFacts};
use plugrank_reranking::{
    Facts, RerankingOptions,
    order::by_click_probability,
    place::FilledPlace,
    rules::{self, Applied, Field, Rule, exploration::is_fresh},
    selection::select,
    similarity::Similarity,
};
use proptest::prelude::*;

const AS_OF: i64 = 1_000_000_000_000;
const DAY: i64 = 24 * 3_600 * 1_000;

/// What is known about an item.
#[derive(Clone, Debug)]
struct Item {
    categories: Vec<u32>,
    created_at: Option<i64>,
}

impl Item {
    fn main_category(&self) -> Option<u32> {
        self.categories.first().copied()
    }
}

#[derive(Clone, Debug)]
struct Case {
    /// In the order by click probability.
    ctr: Vec<f32>,
    items: Vec<Item>,
    k: usize,
    pool: usize,
    seed: u64,
    options: RerankingOptions,
}

impl Case {
    fn run(&self) -> Vec<FilledPlace> {
        let facts = RankFacts {
            categories: self.items.iter().map(|item| item.categories.clone()).collect(),
            created_at: self.items.iter().map(|item| item.created_at).collect(),
            with_vector: Vec::new(),
            vectors: Matrix::empty(2, Dtype::F32),
        };
        let order: Vec<u32> = (0..self.ctr.len() as u32).collect();
        let field = Field {
            ctr: &self.ctr,
            facts: Facts::Given { facts: &facts, order: &order },
            pool: self.pool.min(self.ctr.len()),
            similarity: Similarity::by_categories(),
            k: self.k.min(self.ctr.len()),
            as_of: AS_OF,
            seed: self.seed,
            diversity: None,
        };
        select(&field, &rules::all(&self.options))
    }
}

fn ctr() -> impl Strategy<Value = f32> {
    prop_oneof![
        12 => 0.0f32..1.0,
        2 => prop::sample::select(vec![0.0, 0.25, 1.0]),
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    (prop::collection::vec(0u32..5, 0..3), prop::option::of(-3i64..30)).prop_map(
        |(categories, age)| Item { categories, created_at: age.map(|days| AS_OF - days * DAY) },
    )
}

prop_compose! {
    fn options()(
        lambda in 0.1f64..=1.0,
        enabled in any::<bool>(),
        max in 1usize..6,
        category_window in 1usize..30,
        exploration_share in 0.0f64..=0.5,
    ) -> RerankingOptions {
        let category_cap = if enabled { max } else { 0 };
        RerankingOptions {
            lambda, category_cap, category_window, exploration_share, ..RerankingOptions::default()
        }
    }
}

prop_compose! {
    fn case()(
        given in prop::collection::vec((ctr(), item()), 0..60),
        k in 1usize..40,
        pool in 1usize..50,
        seed in any::<u64>(),
        options in options(),
    ) -> Case {
        let (ctr, items): (Vec<f32>, Vec<Item>) = given.into_iter().unzip();
        let ids: ItemList = (0..ctr.len()).map(|n| ItemId::from(n.to_string())).collect();
        let ctr = by_click_probability(&ids, &ctr).iter().map(|n| ctr[*n as usize]).collect();
        Case { ctr, items, k, pool: pool.max(k), seed, options }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 4))]

    #[test]
    fn places_are_distinct_candidates(case in case()) {
        let places = case.run();
        prop_assert_eq!(places.len(), case.k.min(case.ctr.len()));
        let distinct: HashSet<_> = places.iter().map(|place| place.item).collect();
        prop_assert_eq!(distinct.len(), places.len());
        prop_assert!(places.iter().all(|place| place.item < case.ctr.len()));
    }

    #[test]
    fn scores_fall_and_are_numbers(case in case()) {
        let places = case.run();
        prop_assert!(places.iter().all(|place| place.score.is_finite()));
        prop_assert!(places.is_sorted_by(|a, b| a.score >= b.score));
    }

    #[test]
    fn what_is_no_number_comes_after_all_others(case in case()) {
        let places = case.run();
        let numbers: Vec<bool> =
            places.iter().map(|place| case.ctr[place.item].is_finite()).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn one_seed_has_one_answer(case in case()) {
        prop_assert_eq!(case.run(), case.run());
    }

    #[test]
    fn the_cap_holds_unless_a_place_says_otherwise(case in case()) {
        let (cap, window) = (case.options.category_cap, case.options.category_window);
        let places = case.run();
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for place in places.iter().take(window) {
            let Some(category) = case.items[place.item].main_category() else { continue };
            let count = counts.entry(category).or_default();
            *count += 1;
            if cap > 0 && *count > cap {
                // Another of this category may be the one that says so.
                let relaxed = places.iter().any(|other| {
                    other.rule == "cap_relaxed"
                        && case.items[other.item].main_category() == Some(category)
                });
                prop_assert!(relaxed, "category {category} has {count}");
            }
        }
        if cap == 0 {
            prop_assert!(places.iter().all(|place| place.rule != "cap_relaxed"));
        }
    }

    #[test]
    fn the_cap_is_relaxed_only_when_nothing_else_is_left(case in case()) {
        let places = case.run();
        let Some(at) = places.iter().position(|place| place.rule == "cap_relaxed") else {
            return Ok(());
        };
        if !case.ctr[places[at].item].is_finite() {
            return Ok(());
        }
        let cap = case.options.category_cap;
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for place in &places[..at] {
            if let Some(category) = case.items[place.item].main_category() {
                *counts.entry(category).or_default() += 1;
            }
        }
        let shown: HashSet<_> = places.iter().map(|place| place.item).collect();
        for (item, facts) in case.items.iter().enumerate() {
            if case.ctr[item].is_finite() && !shown.contains(&item) {
                let full =
                    facts.main_category().is_some_and(|main| counts.get(&main) >= Some(&cap));
                prop_assert!(full, "{item} would have fitted");
            }
        }
    }

    #[test]
    fn explored_items_are_fresh_and_not_first(case in case()) {
        let places = case.run();
        let mut without = case.clone();
        without.options.exploration_share = 0.0;
        let earned: HashSet<_> = without.run().into_iter().map(|place| place.item).collect();
        let explored: Vec<_> = places.iter().filter(|place| place.rule == "explored").collect();
        for place in &explored {
            let created_at = case.items[place.item].created_at;
            prop_assert!(is_fresh(created_at, AS_OF, 7 * DAY));
            prop_assert!(!earned.contains(&place.item), "it would have made it anyway");
        }
        let most = (case.options.exploration_share * places.len() as f64).ceil() as usize;
        prop_assert!(explored.len() <= most);
        prop_assert!(places.first().is_none_or(|place| place.rule != "explored"));
    }

    #[test]
    fn without_rules_the_order_is_that_of_probability(case in case()) {
        let mut plain = case;
        plain.options.lambda = 1.0;
        plain.options.category_cap = 0;
        plain.options.exploration_share = 0.0;
        let items: Vec<_> = plain.run().into_iter().map(|place| place.item).collect();
        let expected: Vec<_> = (0..plain.k.min(plain.ctr.len())).collect();
        prop_assert_eq!(items, expected);
    }
}

#[test]
fn many_seeds_explore_many_items() {
    let items = vec![Item { categories: vec![], created_at: Some(AS_OF - DAY) }; 30];
    let ctr = (0..30).map(|n| 1.0 - n as f32 / 30.0).collect();
    let options = RerankingOptions::default();
    let mut case = Case { ctr, items, k: 10, pool: 10, seed: 0, options };
    case.options.exploration_share = 0.1;
    let mut explored = HashSet::new();
    for seed in 0..400 {
        case.seed = seed;
        let places = case.run();
        let new: Vec<_> = places.iter().filter(|place| place.rule == "explored").collect();
        assert_eq!(new.len(), 1, "one slot of ten, after {}", explored.len());
        explored.extend(new.iter().map(|place| place.item));
    }
    assert_eq!(explored.len(), 20, "every one that would not have made it");
}

/// Keeps every other candidate back.
struct EvenFirst;

impl Rule for EvenFirst {
    fn name(&self) -> &'static str {
        "even_first"
    }

    fn begin(&self, _: &Field<'_>) -> Option<Box<dyn Applied>> {
        Some(Box::new(Self))
    }
}

impl Applied for EvenFirst {
    fn admits(&self, _: &Field<'_>, item: usize) -> bool {
        item.is_multiple_of(2)
    }
}

#[test]
fn one_more_rule_is_one_line() {
    let mut rules = rules::all(&RerankingOptions::default());
    rules.push(Box::new(EvenFirst));
    let ctr = [0.9, 0.8, 0.7, 0.6];
    let similarity = Similarity::by_categories();
    let field = Field {
        ctr: &ctr,
        facts: Facts::None,
        pool: 4,
        similarity,
        k: 3,
        as_of: AS_OF,
        seed: 1,
        diversity: None,
    };
    let items: Vec<_> = select(&field, &rules).iter().map(|place| place.item).collect();
    assert_eq!(items, [0, 2, 1], "an odd one only where nothing else is left");
}
