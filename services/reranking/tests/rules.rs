//! What every answer of the rules keeps, whatever the candidates.

use std::collections::{BTreeMap, HashSet};

use plugrank_contract::{
    reranking::{Placement, Ranked, ScoredCandidate},
    retrieval::Source,
};
use plugrank_reranking::{
    ItemFacts, Likeness, RerankingOptions,
    exploration::is_fresh,
    order::by_click_probability,
    pipeline::{Input, rerank},
};
use proptest::prelude::*;

const AS_OF: i64 = 1_000_000_000_000;
const DAY: i64 = 24 * 3_600 * 1_000;

#[derive(Clone, Debug)]
struct Case {
    candidates: Vec<ScoredCandidate>,
    facts: Vec<ItemFacts>,
    k: usize,
    pool: usize,
    seed: u64,
    options: RerankingOptions,
}

impl Case {
    fn run(&self) -> Vec<Ranked> {
        let input = Input {
            candidates: &self.candidates,
            facts: &self.facts,
            likeness: &Likeness::by_categories(),
            pool: self.pool,
            k: self.k,
            as_of: AS_OF,
            seed: self.seed,
        };
        rerank(&input, &self.options)
    }

    fn facts_of(&self, ranked: &Ranked) -> &ItemFacts {
        let at = self
            .candidates
            .iter()
            .position(|one| one.item_id == ranked.item_id)
            .expect("among the candidates");
        &self.facts[at]
    }
}

fn ctr() -> impl Strategy<Value = f32> {
    prop_oneof![
        12 => 0.0f32..1.0,
        2 => prop::sample::select(vec![0.0, 0.25, 1.0]),
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
    ]
}

fn facts() -> impl Strategy<Value = ItemFacts> {
    (prop::collection::vec(0u32..5, 0..3), prop::option::of(-3i64..30)).prop_map(
        |(categories, age)| ItemFacts {
            categories,
            created_at: age.map(|days| AS_OF - days * DAY),
        },
    )
}

prop_compose! {
    fn options()(
        lambda in 0.1f32..=1.0,
        enabled in any::<bool>(),
        max in 1usize..6,
        first in 1usize..30,
        share in 0.0f64..=0.5,
    ) -> RerankingOptions {
        let mut options = RerankingOptions::default();
        options.diversity.lambda = lambda;
        options.category_cap.enabled = enabled;
        options.category_cap.max = max;
        options.category_cap.first = first;
        options.exploration.share = share;
        options
    }
}

prop_compose! {
    fn case()(
        items in prop::collection::vec((ctr(), facts()), 0..60),
        k in 1usize..40,
        pool in 1usize..50,
        seed in any::<u64>(),
        options in options(),
    ) -> Case {
        let (ctrs, facts): (Vec<f32>, Vec<ItemFacts>) = items.into_iter().unzip();
        let candidates = ctrs.into_iter().enumerate().map(|(n, ctr)| ScoredCandidate {
            item_id: n.to_string().into(),
            ctr,
            sources: vec![Source::Popular],
        });
        let candidates = by_click_probability(candidates.collect());
        Case { candidates, facts, k, pool: pool.max(k), seed, options }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn answers_are_distinct_candidates_with_their_own_probability(case in case()) {
        let ranked = case.run();
        prop_assert_eq!(ranked.len(), case.k.min(case.candidates.len()));
        let distinct: HashSet<_> = ranked.iter().map(|one| &one.item_id).collect();
        prop_assert_eq!(distinct.len(), ranked.len());
        for one in &ranked {
            let given = case.candidates.iter().find(|given| given.item_id == one.item_id);
            let given = given.expect("among the candidates");
            prop_assert_eq!(given.ctr.to_bits(), one.ctr.to_bits());
            prop_assert_eq!(&given.sources, &one.sources);
        }
    }

    #[test]
    fn scores_fall_and_are_numbers(case in case()) {
        let ranked = case.run();
        prop_assert!(ranked.iter().all(|one| one.score.is_finite()));
        prop_assert!(ranked.is_sorted_by(|a, b| a.score >= b.score));
    }

    #[test]
    fn what_is_no_number_comes_after_all_others(case in case()) {
        let ranked = case.run();
        let numbers: Vec<bool> = ranked.iter().map(|one| one.ctr.is_finite()).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn one_seed_has_one_answer(case in case()) {
        let (once, again) = (case.run(), case.run());
        let ids = |ranked: &[Ranked]| -> Vec<_> {
            ranked.iter().map(|one| (one.item_id.clone(), one.score, one.placement)).collect()
        };
        prop_assert_eq!(ids(&once), ids(&again));
    }

    #[test]
    fn the_cap_holds_unless_a_place_says_otherwise(case in case()) {
        let cap = &case.options.category_cap;
        let ranked = case.run();
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for one in ranked.iter().take(cap.first) {
            let Some(category) = case.facts_of(one).main_category() else { continue };
            let count = counts.entry(category).or_default();
            *count += 1;
            if cap.enabled && *count > cap.max {
                // Another of this category may be the one that says so.
                let relaxed = ranked.iter().any(|other| {
                    other.placement == Placement::CapRelaxed
                        && case.facts_of(other).main_category() == Some(category)
                });
                prop_assert!(relaxed, "category {category} has {count}");
            }
        }
        if !cap.enabled {
            prop_assert!(ranked.iter().all(|one| one.placement != Placement::CapRelaxed));
        }
    }

    #[test]
    fn the_cap_is_relaxed_only_when_nothing_else_is_left(case in case()) {
        let ranked = case.run();
        let Some(at) = ranked.iter().position(|one| one.placement == Placement::CapRelaxed) else {
            return Ok(());
        };
        if !ranked[at].ctr.is_finite() {
            return Ok(());
        }
        let cap = &case.options.category_cap;
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for one in &ranked[..at] {
            if let Some(category) = case.facts_of(one).main_category() {
                *counts.entry(category).or_default() += 1;
            }
        }
        let shown: HashSet<_> = ranked.iter().map(|one| &one.item_id).collect();
        for (candidate, facts) in case.candidates.iter().zip(&case.facts) {
            if candidate.ctr.is_finite() && !shown.contains(&candidate.item_id) {
                let full = facts.main_category().is_some_and(|main| counts.get(&main) >= Some(&cap.max));
                prop_assert!(full, "{} would have fitted", candidate.item_id);
            }
        }
    }

    #[test]
    fn explored_items_are_fresh_and_not_first(case in case()) {
        let ranked = case.run();
        let mut without = case.clone();
        without.options.exploration.share = 0.0;
        let earned: HashSet<_> = without.run().into_iter().map(|one| one.item_id).collect();
        let explored: Vec<_> =
            ranked.iter().filter(|one| one.placement == Placement::Explored).collect();
        for one in &explored {
            prop_assert!(is_fresh(case.facts_of(one), AS_OF, &case.options.exploration));
            prop_assert!(!earned.contains(&one.item_id), "it would have made it anyway");
        }
        let most = (case.options.exploration.share * ranked.len() as f64).ceil() as usize;
        prop_assert!(explored.len() <= most);
        prop_assert!(ranked.first().is_none_or(|one| one.placement != Placement::Explored));
    }

    #[test]
    fn without_rules_the_order_is_that_of_probability(case in case()) {
        let mut plain = case;
        plain.options.diversity.lambda = 1.0;
        plain.options.category_cap.enabled = false;
        plain.options.exploration.share = 0.0;
        let ids: Vec<_> = plain.run().into_iter().map(|one| one.item_id).collect();
        let expected: Vec<_> =
            plain.candidates.iter().take(plain.k).map(|one| one.item_id.clone()).collect();
        prop_assert_eq!(ids, expected);
    }
}

#[test]
fn many_seeds_explore_many_items() {
    let facts = vec![ItemFacts { categories: vec![], created_at: Some(AS_OF - DAY) }; 30];
    let candidates = (0..30).map(|n| ScoredCandidate {
        item_id: n.to_string().into(),
        ctr: 1.0 - n as f32 / 30.0,
        sources: vec![Source::Fresh],
    });
    let mut case = Case {
        candidates: by_click_probability(candidates.collect()),
        facts,
        k: 10,
        pool: 10,
        seed: 0,
        options: RerankingOptions::default(),
    };
    case.options.exploration.share = 0.1;
    let mut explored = HashSet::new();
    for seed in 0..400 {
        case.seed = seed;
        let ranked = case.run();
        let new = ranked.iter().filter(|one| one.placement == Placement::Explored);
        let before = explored.len();
        let mut count = 0;
        for one in new {
            explored.insert(one.item_id.clone());
            count += 1;
        }
        assert_eq!(count, 1, "one slot of ten, after {before}");
    }
    assert_eq!(explored.len(), 20, "every one that would not have made it");
}
