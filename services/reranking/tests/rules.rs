//! Properties that hold for every answer of the rules, for arbitrary candidates.

use std::collections::{BTreeMap, HashSet};

use plugrank_contract::{
    Dtype, ItemId, ItemList, Matrix,
    reranking::{RankFacts, RuleFacts},
};
use plugrank_reranking::{
    Facts, RerankingOptions,
    inputs::Inputs,
    order::by_value,
    place::FilledPlace,
    rule_list,
    rules::{Field, exploration::is_fresh},
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
            rules: RuleFacts::default(),
        };
        let order: Vec<u32> = (0..self.ctr.len() as u32).collect();
        let field = Field {
            value: &self.ctr,
            ctr: &self.ctr,
            facts: Facts::Given { facts: &facts, order: &order },
            rule_facts: &facts.rules,
            order: &order,
            before: 0,
            pool: self.pool.min(self.ctr.len()),
            similarity: Similarity::by_categories(),
            k: self.k.min(self.ctr.len()),
            as_of: AS_OF,
            seed: self.seed,
        };
        let rules = rule_list::all(&self.options, &[], &mut Inputs::default());
        select(&field, rules.iter().map(|rule| &**rule))
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
        let ctr = by_value(&ids, &ctr).iter().map(|n| ctr[*n as usize]).collect();
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
    fn scores_are_finite_and_descending(case in case()) {
        let places = case.run();
        prop_assert!(places.iter().all(|place| place.score.is_finite()));
        prop_assert!(places.is_sorted_by(|a, b| a.score >= b.score));
    }

    #[test]
    fn nan_scores_sort_last(case in case()) {
        let places = case.run();
        let numbers: Vec<bool> =
            places.iter().map(|place| case.ctr[place.item].is_finite()).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn equal_seeds_give_equal_answers(case in case()) {
        prop_assert_eq!(case.run(), case.run());
    }

    #[test]
    fn the_cap_holds_except_where_a_place_reports_it_relaxed(case in case()) {
        let (cap, window) = (case.options.category_cap, case.options.category_window);
        let places = case.run();
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for place in places.iter().take(window) {
            let Some(category) = case.items[place.item].main_category() else { continue };
            let count = counts.entry(category).or_default();
            *count += 1;
            if cap > 0 && *count > cap {
                // Another item of this category may be the one marked as relaxed.
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
                prop_assert!(full, "{item} would have been within its cap");
            }
        }
    }

    #[test]
    fn explored_items_are_fresh_and_never_first(case in case()) {
        let places = case.run();
        for place in places.iter().filter(|place| place.rule == "explored") {
            let created_at = case.items[place.item].created_at;
            prop_assert!(is_fresh(created_at, AS_OF, 7 * DAY));
        }
        prop_assert!(places.first().is_none_or(|place| place.rule != "explored"));
        let explores = case.options.exploration_share > 0.0 && case.k.min(case.ctr.len()) > 1;
        for place in places.iter().filter(|place| place.rule != "cap_relaxed") {
            let number = case.ctr[place.item].is_finite();
            prop_assert_eq!(place.propensity.is_some(), explores && number);
            prop_assert!(place.propensity.is_none_or(|chance| chance > 0.0 && chance <= 1.0));
        }
    }

    #[test]
    fn without_rules_items_sort_by_probability(case in case()) {
        let mut plain = case;
        plain.options.lambda = 1.0;
        plain.options.category_cap = 0;
        plain.options.exploration_share = 0.0;
        let items: Vec<_> = plain.run().into_iter().map(|place| place.item).collect();
        let expected: Vec<_> = (0..plain.k.min(plain.ctr.len())).collect();
        prop_assert_eq!(items, expected);
    }
}

/// How often each item has each place, against what the answers say of it.
#[test]
fn propensities_equal_observed_frequencies() {
    let fresh = |n: usize| Some(if n.is_multiple_of(2) { AS_OF - DAY } else { AS_OF - 90 * DAY });
    let items: Vec<Item> =
        (0..12).map(|n| Item { categories: vec![n as u32 % 3], created_at: fresh(n) }).collect();
    let ctr: Vec<f32> = (0..12).map(|n| 0.5 - n as f32 / 30.0).collect();
    let options = RerankingOptions {
        exploration_share: 0.4,
        category_cap: 2,
        category_window: 3,
        ..RerankingOptions::default()
    };
    let mut case = Case { ctr, items, k: 4, pool: 12, seed: 0, options };
    let runs = 60_000;
    // By the places before: how often there was which item, and with which probability.
    let mut seen: BTreeMap<Vec<usize>, BTreeMap<usize, (usize, f32)>> = BTreeMap::new();
    let mut explored = 0;
    for seed in 0..runs {
        case.seed = seed;
        let places = case.run();
        explored += places.iter().filter(|place| place.rule == "explored").count();
        let mut before = Vec::new();
        for place in places {
            let at = seen.entry(before.clone()).or_default().entry(place.item);
            let (count, propensity) = at.or_insert((0, place.propensity.unwrap()));
            assert_eq!(
                *propensity,
                place.propensity.unwrap(),
                "it depends only on the places above"
            );
            *count += 1;
            before.push(place.item);
        }
    }
    let share = explored as f64 / (runs * 4) as f64;
    assert!((share - 0.4).abs() < 0.01, "{share} of the places explore");
    let mut compared = 0;
    for items in seen.values() {
        let all: usize = items.values().map(|(count, _)| count).sum();
        if all < 2_000 {
            continue;
        }
        let sum: f32 = items.values().map(|(_, propensity)| propensity).sum();
        assert!((sum - 1.0).abs() < 1e-4, "propensities of a place add up to {sum}");
        for (count, propensity) in items.values() {
            let found = *count as f64 / all as f64;
            let deviation =
                (f64::from(*propensity) * (1.0 - f64::from(*propensity)) / all as f64).sqrt();
            let off = (found - f64::from(*propensity)).abs();
            assert!(off < 5.0 * deviation + 1e-9, "{found} against {propensity}");
            compared += 1;
        }
    }
    assert!(compared > 30, "only {compared} compared");
}
