//! Properties of the rules that the settings list, for arbitrary candidates.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashSet};

use plugrank_contract::{
    Dtype, Filter, Matrix,
    reranking::{RankFacts, RuleFacts},
};
use plugrank_reranking::{
    Facts, RerankingOptions, RuleOptions,
    inputs::Inputs,
    place::FilledPlace,
    rule_list,
    rules::{
        Field,
        cap::CapOptions,
        exploration::{Draw, ExplorationOptions},
        min_share::MinShareOptions,
        pin::PinOptions,
        sponsored::SponsoredOptions,
        variety::VarietyOptions,
    },
    selection::select,
    similarity::Similarity,
};
use proptest::prelude::*;

const COLUMNS: usize = 2;

/// Candidates by falling value, with two columns and two filters.
#[derive(Clone, Debug)]
struct Case {
    value: Vec<f32>,
    keys: [Vec<u32>; COLUMNS],
    met: [Vec<bool>; 2],
    bid: Vec<f32>,
    stats: Vec<(u64, u64)>,
    k: usize,
    before: usize,
    seed: u64,
}

fn filter(name: &str) -> Filter {
    serde_json::from_value(serde_json::json!({"must": [{"field": name, "any": ["x"]}]})).unwrap()
}

impl Case {
    /// The places under these rules. Column 0 is `colour`, 1 `brand`; the filters are `new` and `own`.
    fn run(&self, listed: &[RuleOptions]) -> Vec<FilledPlace> {
        let options = RerankingOptions {
            lambda: 1.0,
            category_cap: 0,
            exploration_share: 0.0,
            ..RerankingOptions::default()
        };
        let mut inputs = Inputs::default();
        let rules = rule_list::all(&options, listed, &mut inputs);
        let inputs = inputs.done();
        let column = |name: &String| match name.as_str() {
            "colour" => (self.keys[0].clone(), Vec::new()),
            "brand" => (self.keys[1].clone(), Vec::new()),
            _ => (Vec::new(), self.bid.clone()),
        };
        let (keys, numbers) = inputs.columns.iter().map(column).unzip();
        let met = |asked: &Filter| {
            let which = usize::from(*asked == filter("own"));
            self.met[which].clone()
        };
        let rules_read = RuleFacts {
            keys,
            numbers,
            met: inputs.filters.iter().map(met).collect(),
            stats: self.stats.clone(),
        };
        let count = self.value.len();
        let facts = RankFacts {
            categories: vec![Vec::new(); count],
            created_at: vec![None; count],
            with_vector: Vec::new(),
            vectors: Matrix::empty(2, Dtype::F32),
            rules: rules_read,
        };
        let order: Vec<u32> = (0..count as u32).collect();
        let field = Field {
            value: &self.value,
            ctr: &self.value,
            facts: Facts::Given { facts: &facts, order: &order },
            rule_facts: &facts.rules,
            order: &order,
            pool: count,
            similarity: Similarity::by_categories(),
            k: self.k.min(count),
            before: self.before,
            as_of: 0,
            seed: self.seed,
        };
        select(&field, rules.iter().map(|rule| &**rule))
    }

    fn items(&self, listed: &[RuleOptions]) -> Vec<usize> {
        self.run(listed).into_iter().map(|place| place.item).collect()
    }
}

prop_compose! {
    fn case()(
        rows in prop::collection::vec(
            (0.0f32..1.0, 0u32..5, 0u32..4, any::<bool>(), prop::bool::weighted(0.2), 0.0f32..3.0, 0u64..40),
            1..50,
        ),
        k in 1usize..30,
        before in prop::sample::select(vec![0usize, 20]),
        seed in any::<u64>(),
    ) -> Case {
        let mut rows = rows;
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        Case {
            value: rows.iter().map(|row| row.0).collect(),
            keys: [rows.iter().map(|row| row.1).collect(), rows.iter().map(|row| row.2).collect()],
            met: [rows.iter().map(|row| row.3).collect(), rows.iter().map(|row| row.4).collect()],
            bid: rows.iter().map(|row| if row.4 { row.5 } else { f32::NAN }).collect(),
            stats: rows.iter().map(|row| (row.6, row.6 / 9)).collect(),
            k, before, seed,
        }
    }
}

fn cap(column: &str, max: usize, window: usize) -> RuleOptions {
    RuleOptions::Cap(CapOptions { column: column.to_owned(), max, window })
}

fn explore(share: f64, draw: Draw) -> RuleOptions {
    RuleOptions::Exploration(ExplorationOptions {
        share,
        max_impressions: Some(20),
        draw,
        ..ExplorationOptions::default()
    })
}

/// Reference implementation of the greedy choice under caps: each place goes to the first candidate left that
/// leaves every window within its cap.
fn capped(case: &Case, caps: &[(usize, usize, usize)]) -> Vec<(usize, bool)> {
    let mut places: Vec<(usize, bool)> = Vec::new();
    while places.len() < case.k.min(case.value.len()) {
        let left = |item: &usize| places.iter().all(|(placed, _)| placed != item);
        let fits = |item: &usize| {
            caps.iter().all(|(column, max, window)| {
                let key = case.keys[*column][*item];
                let window = places.iter().rev().take(window - 1);
                let same = window.filter(|(placed, _)| case.keys[*column][*placed] == key).count();
                key == 0 || same < *max
            })
        };
        let found = (0..case.value.len()).filter(left).find(|item| fits(item));
        let relaxed = found.is_none();
        places.push((found.or_else(|| (0..case.value.len()).find(left)).unwrap(), relaxed));
    }
    places
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 2))]

    #[test]
    fn caps_equal_a_plain_greedy_reference(case in case(), max in 1usize..3, more in 1usize..8) {
        let caps = [(0, max, max + more), (1, 2, 4)];
        let listed = [cap("colour", max, max + more), cap("brand", 2, 4)];
        let places: Vec<(usize, bool)> = case
            .run(&listed)
            .into_iter()
            .map(|place| (place.item, place.rule == "cap_relaxed"))
            .collect();
        prop_assert_eq!(places, capped(&case, &caps));
    }

    #[test]
    fn caps_hold_in_every_window_with_other_rules(
        case in case(),
        max in 1usize..3,
        more in 1usize..8,
        place in 1usize..30,
        share in 0.0f64..0.5,
    ) {
        let window = max + more;
        let listed = [
            cap("colour", max, window),
            RuleOptions::Pin(PinOptions { filter: filter("new"), place }),
            RuleOptions::MinShare(MinShareOptions { filter: filter("own"), min: 1, window: 4 }),
            explore(share, Draw::Uniform),
        ];
        let places = case.run(&listed);
        let distinct: HashSet<usize> = places.iter().map(|place| place.item).collect();
        prop_assert_eq!(distinct.len(), case.k.min(case.value.len()));
        prop_assert!(places.is_sorted_by(|a, b| a.score >= b.score));
        for window in places.windows(window.min(places.len())) {
            if window.iter().any(|place| place.rule == "cap_relaxed") {
                continue;
            }
            let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
            for place in window {
                *counts.entry(case.keys[0][place.item]).or_default() += 1;
            }
            counts.remove(&0);
            prop_assert!(counts.values().all(|count| *count <= max), "{counts:?}");
        }
    }

    #[test]
    fn a_minimum_share_holds_in_every_window_while_items_last(
        case in case(),
        min in 1usize..4,
        more in 0usize..6,
    ) {
        let window = min + more;
        let rule = MinShareOptions { filter: filter("own"), min, window };
        let places = case.items(&[RuleOptions::MinShare(rule)]);
        let meets = |item: &&usize| case.met[1][**item];
        let left = |until: usize| {
            let used = places[..until].iter().filter(meets).count();
            case.met[1].iter().filter(|met| **met).count() > used
        };
        for (start, places) in places.windows(window).enumerate() {
            let enough = places.iter().filter(meets).count() >= min;
            prop_assert!(enough || !left(start + window), "window {start}: {places:?}");
        }
        // No more than needed: without the rule the same items lead, apart from those it moved up.
        let plain: Vec<usize> =
            places.iter().copied().filter(|item| !case.met[1][*item]).collect();
        prop_assert!(plain.is_sorted());
    }

    #[test]
    fn a_pinned_item_is_at_its_position_on_its_page(case in case(), place in 1usize..50) {
        let pin = RuleOptions::Pin(PinOptions { filter: filter("new"), place });
        let places = case.run(std::slice::from_ref(&pin));
        let best = case.met[0].iter().position(|met| *met);
        let here = place.checked_sub(case.before + 1).filter(|at| *at < places.len());
        match (best, here) {
            (Some(_), Some(at)) => {
                let before: HashSet<usize> = places[..at].iter().map(|place| place.item).collect();
                let best = (0..case.value.len())
                    .find(|item| case.met[0][*item] && !before.contains(item));
                if let Some(best) = best {
                    prop_assert_eq!(places[at].item, best);
                    prop_assert_eq!(&*places[at].rule, "pin");
                }
            }
            _ => prop_assert!(places.iter().all(|place| place.rule == "ranked")),
        }
    }

    #[test]
    fn sponsored_places_go_to_the_highest_expected_income(case in case(), at in 1usize..25) {
        let rule = SponsoredOptions {
            bid: "bid".to_owned(),
            places: vec![case.before + at, case.before + at + 2],
            filter: Filter::default(),
        };
        let places = case.run(&[RuleOptions::Sponsored(rule)]);
        for (n, place) in places.iter().enumerate() {
            let sold = n + 1 == at || n + 1 == at + 2;
            let above: HashSet<usize> = places[..n].iter().map(|place| place.item).collect();
            let income = |item: usize| case.bid[item] * case.value[item];
            let bidders = (0..case.value.len())
                .filter(|item| case.bid[*item] > 0.0 && !above.contains(item));
            match bidders.max_by(|a, b| income(*a).total_cmp(&income(*b))).filter(|_| sold) {
                Some(best) => {
                    prop_assert_eq!(income(place.item), income(best));
                    prop_assert_eq!(&*place.rule, "sponsored");
                }
                None => prop_assert_eq!(&*place.rule, "ranked"),
            }
        }
    }

    #[test]
    fn variety_equals_a_plain_discount_reference(case in case(), factor in 0.1f32..0.9) {
        let rule = VarietyOptions { column: "colour".to_owned(), factor };
        let places = case.items(&[RuleOptions::Variety(rule)]);
        let mut above: Vec<usize> = Vec::new();
        for item in places {
            let worth = |item: usize| {
                let key = case.keys[0][item];
                let same = above.iter().filter(|other| key != 0 && case.keys[0][**other] == key);
                case.value[item] * factor.powi(same.count() as i32)
            };
            let best = (0..case.value.len())
                .filter(|item| !above.contains(item))
                .map(worth)
                .fold(0.0f32, f32::max);
            prop_assert!(worth(item) >= best - 1e-5, "{} against {best}", worth(item));
            above.push(item);
        }
    }

    #[test]
    fn thompson_sampling_explores_items_with_few_impressions(case in case()) {
        let places = case.run(&[explore(0.5, Draw::Thompson)]);
        for place in &places {
            prop_assert!(place.rule != "explored" || case.stats[place.item].0 < 20);
            let chance = place.propensity.unwrap_or(1.0);
            prop_assert!(chance > 0.0 && chance <= 1.0001, "{chance}");
        }
    }
}

/// How often Thompson sampling puts each item at the second place, against what is reported.
#[test]
fn thompson_propensities_equal_observed_frequencies() {
    let count = 8;
    let mut case = Case {
        value: (0..count).map(|n| 0.3 - n as f32 / 40.0).collect(),
        keys: [vec![0; count], vec![0; count]],
        met: [vec![false; count], vec![false; count]],
        bid: vec![f32::NAN; count],
        stats: (0..count as u64).map(|n| (3 * n, n / 2)).collect(),
        k: 2,
        before: 0,
        seed: 0,
    };
    let rule = [explore(0.4, Draw::Thompson)];
    let runs = 20_000;
    let mut found: BTreeMap<usize, (usize, f32)> = BTreeMap::new();
    for seed in 0..runs {
        case.seed = seed;
        let place = case.run(&rule).remove(1);
        let (times, propensity) = found.entry(place.item).or_insert((0, place.propensity.unwrap()));
        assert_eq!(*propensity, place.propensity.unwrap());
        *times += 1;
    }
    let sum: f32 = found.values().map(|(_, propensity)| propensity).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    for (times, propensity) in found.values() {
        let p = f64::from(*propensity);
        let off = (*times as f64 / runs as f64 - p).abs();
        assert!(off < 5.0 * (p * (1.0 - p) / runs as f64).sqrt(), "{times} against {propensity}");
        // The second of two places explores with 0.8; each of 6 has its part of the uniform floor.
        assert!(p >= 0.8 * 0.2 / 6.0 - 1e-6);
    }
    assert_eq!(found.len(), 6, "each unplaced item with few impressions has a chance");
}

#[test]
fn invalid_rules_are_refused_with_the_reason() {
    let problem = |rule: serde_json::Value| {
        let rules: Vec<RuleOptions> = serde_json::from_value(serde_json::json!([rule])).unwrap();
        let options = RerankingOptions { rules, ..RerankingOptions::default() };
        plugrank_settings::check(&options).unwrap_err().remove(0).to_string()
    };
    let some = serde_json::json!({"must": [{"field": "brand", "any": ["x"]}]});
    for (rule, reason) in [
        (serde_json::json!({"rule": "boost", "filter": some, "factor": 0.5}), "`factor`"),
        (serde_json::json!({"rule": "bury", "filter": some, "factor": 2}), "`factor`"),
        (serde_json::json!({"rule": "pin", "filter": {}, "place": 1}), "`filter` is empty"),
        (serde_json::json!({"rule": "pin", "filter": some, "place": 0}), "`place`"),
        (serde_json::json!({"rule": "cap", "column": "brand", "max": 3, "window": 3}), "`max`"),
        (serde_json::json!({"rule": "min_share", "filter": some, "min": 3, "window": 2}), "`min`"),
        (serde_json::json!({"rule": "sponsored", "bid": "bid", "places": [0]}), "`places`"),
        (serde_json::json!({"rule": "variety", "column": "type", "factor": 1}), "`factor`"),
        (serde_json::json!({"rule": "exploration", "share": 0.7}), "`share`"),
        (serde_json::json!({"rule": "diversity", "lambda": 0}), "`lambda`"),
        (
            serde_json::json!({"rule": "pin", "filter": {"must": [{"field": "x"}]}, "place": 1}),
            "/must/0",
        ),
    ] {
        let told = problem(rule.clone());
        assert!(told.contains(reason) && told.contains("rule 1"), "{rule}: {told}");
    }
    let unknown = serde_json::json!([{"rule": "bost", "factor": 2}]);
    let error = serde_json::from_value::<Vec<RuleOptions>>(unknown).unwrap_err().to_string();
    assert!(error.contains("boost") && error.contains("min_share"), "{error}");
}
