//! Thousands of simulated experiments: false positive rate, power and coverage of the statistics.
//!
//! `PLUGRANK_EXPERIMENT_RUNS` sets the number of A/A experiments (1,000 by default, a fifth of them
//! where the runs are larger). Seeds are fixed, so a run gives the same counts every time.

use std::env;

use plugrank_experiments::{
    AnalysisPlan, Arm, Assigner, Definitions, Experiment, Guardrail, GuardrailMetric, Layer,
    Subject,
    statistics::{
        CatalogShown, Collected, Collector, GuardrailVerdict, Interval, MetricResult, Results,
        ResultsOptions, Row, SAMPLE_RATIO_ALPHA, Schema, ShownItems, power, results,
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution, Exp1, Geometric, StandardNormal};
use statrs::distribution::{Binomial as BinomialTail, DiscreteCDF};

const ALPHA: f64 = 0.05;

/// A shop and its experiment.
#[derive(Clone, Copy)]
struct Shop {
    /// Chance of a click of a user in the middle.
    rate: f64,
    /// Mean exposures of a user's visit.
    exposures: f64,
    /// By how much the arm raises the chance of a click.
    lift: f64,
    days: usize,
    units_per_day: usize,
    /// Chance that a user comes again on a later day.
    returns: f64,
}

fn runs() -> usize {
    let given = env::var("PLUGRANK_EXPERIMENT_RUNS");
    given.map_or(1_000, |runs| runs.parse().expect("PLUGRANK_EXPERIMENT_RUNS is a number"))
}

/// Counts that an event of chance `share` reaches in `runs` runs with a chance of 99%.
fn bounds(runs: usize, share: f64) -> (usize, usize) {
    let tail = BinomialTail::new(share, runs as u64).expect("a share");
    (tail.inverse_cdf(0.005) as usize, tail.inverse_cdf(0.995) as usize)
}

fn within(what: &str, count: usize, runs: usize, share: f64) {
    let (low, high) = bounds(runs, share);
    println!("{what}: {count} of {runs}, nominal {share}, 99% bounds {low} to {high}");
    assert!((low..=high).contains(&count), "{what}: {count} is not in {low} to {high}");
}

fn at_most(what: &str, count: usize, runs: usize, share: f64) {
    let high = bounds(runs, share).1;
    println!("{what}: {count} of {runs}, nominal at most {share}, 99% bound {high}");
    assert!(count <= high, "{what}: {count} is above {high}");
}

fn at_least(what: &str, count: usize, runs: usize, share: f64) {
    let low = bounds(runs, share).0;
    println!("{what}: {count} of {runs}, nominal at least {share}, 99% bound {low}");
    assert!(count >= low, "{what}: {count} is below {low}");
}

fn assigner(seed: u64) -> Assigner {
    let arm = |name: &str| Arm { name: name.to_owned(), weight: Some(1), ..Arm::default() };
    let experiment = Experiment {
        name: format!("run-{seed}"),
        layer: "ranking".to_owned(),
        control: "control".to_owned(),
        arms: vec![arm("control"), arm("arm")],
        ..Experiment::default()
    };
    let layer = Layer { name: "ranking".to_owned(), ..Layer::default() };
    Assigner::new(Definitions { layers: vec![layer], experiments: vec![experiment] })
}

fn schema() -> Schema {
    let arms = vec!["control".to_owned(), "arm".to_owned()];
    Schema { arms, tasks: vec!["click".to_owned()] }
}

/// What a user is like.
struct User {
    name: String,
    arm: usize,
    taste: f64,
    covariate: f64,
}

impl User {
    fn new(shop: &Shop, assigner: &Assigner, number: usize, random: &mut ChaCha8Rng) -> Self {
        let name = format!("u{number}");
        let subject = Subject { user_id: &name, request_id: "", surface: "home", features: &() };
        let arm = usize::from(assigner.assign(&subject)[0].arm.name == "arm");
        let normal: f64 = StandardNormal.sample(random);
        let taste = (shop.rate * (0.25 * normal).exp()).min(0.9);
        let before = Binomial::new(40, taste).expect("a chance").sample(random);
        Self { name, arm, taste, covariate: before as f64 }
    }

    fn visit(&self, shop: &Shop, random: &mut ChaCha8Rng) -> Row {
        let more = Geometric::new(1.0 / shop.exposures).expect("a chance").sample(random);
        let exposures = 1 + more.min(1_000);
        let chance = self.taste * if self.arm == 1 { 1.0 + shop.lift } else { 1.0 };
        let clicks = Binomial::new(exposures, chance).expect("a chance").sample(random) as f64;
        let basket: f64 = Exp1.sample(random);
        Row {
            exposures: exposures as f64,
            outcomes: vec![clicks],
            value: clicks * basket,
            covariate: Some(self.covariate),
            ..Row::default()
        }
    }
}

/// The results as they stand at the end of each day.
fn experiment(shop: &Shop, seed: u64) -> Vec<Results> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let assigner = assigner(seed);
    let planned = (shop.days * shop.units_per_day) as u64;
    let options = ResultsOptions {
        control: 0,
        shares: vec![0.5, 0.5],
        plan: AnalysisPlan { alpha: ALPHA, lift: 0.03, units: planned, ..AnalysisPlan::default() },
        guardrails: Vec::new(),
        one_look: true,
        days: None,
    };
    let mut total = Collector::new(schema()).collected();
    let mut returning = Collector::new(schema());
    let mut users: Vec<User> = Vec::new();
    let mut looks = Vec::new();
    for day in 0..shop.days {
        let first = day * shop.units_per_day;
        let arrived = first..first + shop.units_per_day;
        let new = arrived.map(|number| User::new(shop, &assigner, number, &mut random));
        let new: Vec<User> = new.collect();
        let look: Collected = if shop.returns > 0.0 {
            users.extend(new);
            for (number, user) in users.iter().enumerate() {
                let again = Binomial::new(1, shop.returns).expect("a chance").sample(&mut random);
                if number >= first || again == 1 {
                    returning.add(user.arm, &user.name, &user.visit(shop, &mut random));
                }
            }
            returning.collected()
        } else {
            let mut today = Collector::new(schema());
            for user in &new {
                today.add(user.arm, &user.name, &user.visit(shop, &mut random));
            }
            total.merge(&today.collected());
            total.clone()
        };
        looks.push(results(&look, &options).expect("two arms"));
    }
    looks
}

/// Counts over many experiments, for one metric.
#[derive(Default)]
struct Tally {
    fixed: usize,
    fixed_cuped: usize,
    peeked: usize,
    always_valid: usize,
    always_valid_cuped: usize,
    covered: usize,
    covered_cuped: usize,
    always_covered: usize,
    power: f64,
    power_cuped: f64,
}

impl Tally {
    fn add(&mut self, looks: &[Results], metric: &str, truth: f64) {
        let all: Vec<_> = looks
            .iter()
            .filter_map(|look| look.metrics.iter().find(|one| one.metric == metric))
            .collect();
        let Some(last) = all.last() else { return };
        let cuped = last.cuped.expect("the covariate varies");
        self.fixed += usize::from(last.plain.p < ALPHA);
        self.fixed_cuped += usize::from(cuped.p < ALPHA);
        self.peeked += usize::from(all.iter().any(|look| look.plain.p < ALPHA));
        let found = all.iter().any(|look| look.plain.always_valid_p < ALPHA);
        self.always_valid += usize::from(found);
        let cuped_p =
            |look: &&MetricResult| look.cuped.is_some_and(|cuped| cuped.always_valid_p < ALPHA);
        self.always_valid_cuped += usize::from(all.iter().any(cuped_p));
        let lift =
            |interval: Option<Interval>| interval.is_some_and(|interval| interval.covers(truth));
        self.covered += usize::from(lift(last.plain.lift_interval));
        self.covered_cuped += usize::from(lift(cuped.lift_interval));
        let always = |look: &&MetricResult| lift(look.plain.always_valid_lift_interval);
        self.always_covered += usize::from(all.iter().all(always));
        self.power_cuped += last.power.map_or(0.0, |power| power.now);
        let plain = power(&last.plain, &AnalysisPlan::default(), None);
        self.power += plain.map_or(0.0, |power| power.now);
    }
}

#[test]
fn aa_experiments_keep_the_false_positive_rate() {
    let shop =
        Shop { rate: 0.2, exposures: 5.0, lift: 0.0, days: 10, units_per_day: 100, returns: 0.0 };
    let runs = runs();
    let (mut clicks, mut value) = (Tally::default(), Tally::default());
    let (mut ratio, mut ratio_5, mut every_look, mut every_look_5) = (0, 0, 0, 0);
    for seed in 0..runs as u64 {
        let looks = experiment(&shop, seed);
        let last = &looks[looks.len() - 1].sample_ratio;
        ratio += usize::from(last.p < SAMPLE_RATIO_ALPHA);
        ratio_5 += usize::from(last.p < ALPHA);
        let any = |alpha: f64| {
            usize::from(looks.iter().any(|look| look.sample_ratio.always_valid_p < alpha))
        };
        every_look += any(SAMPLE_RATIO_ALPHA);
        every_look_5 += any(ALPHA);
        if looks.iter().all(|look| look.hidden.is_none()) {
            clicks.add(&looks, "click/exposure", 0.0);
            value.add(&looks, "value/unit", 0.0);
        }
    }
    within("sample ratio, last look, 0.001", ratio, runs, SAMPLE_RATIO_ALPHA);
    within("sample ratio, last look, 0.05", ratio_5, runs, ALPHA);
    at_most("sample ratio, every look, 0.001", every_look, runs, SAMPLE_RATIO_ALPHA);
    at_most("sample ratio, every look, 0.05", every_look_5, runs, ALPHA);
    for (name, tally) in [("click/exposure", &clicks), ("value/unit", &value)] {
        within(&format!("{name}, one look"), tally.fixed, runs, ALPHA);
        within(&format!("{name}, one look, CUPED"), tally.fixed_cuped, runs, ALPHA);
        at_most(&format!("{name}, every look"), tally.always_valid, runs, ALPHA);
        at_most(&format!("{name}, every look, CUPED"), tally.always_valid_cuped, runs, ALPHA);
        let high = bounds(runs, ALPHA).1;
        println!("{name}, one look's test at every look: {} of {runs}", tally.peeked);
        assert!(tally.peeked > high, "the simulation cannot tell a peeking test from a valid one");
    }
}

/// Users return, so that a unit's data grows between looks; the guarantee of always-valid
/// inference is then not proved, but it holds here.
#[test]
fn aa_experiments_with_returning_users_keep_the_false_positive_rate() {
    let shop =
        Shop { rate: 0.2, exposures: 5.0, lift: 0.0, days: 10, units_per_day: 60, returns: 0.3 };
    let runs = runs() / 5;
    let mut clicks = Tally::default();
    (0..runs as u64).for_each(|seed| {
        clicks.add(&experiment(&shop, 1_000_000 + seed), "click/exposure", 0.0);
    });
    within("returning users, one look", clicks.fixed, runs, ALPHA);
    at_most("returning users, every look", clicks.always_valid, runs, ALPHA);
}

#[test]
fn a_known_lift_is_detected_with_planned_power_and_covered() {
    let shop =
        Shop { rate: 0.5, exposures: 40.0, lift: 0.03, days: 5, units_per_day: 400, returns: 0.0 };
    let runs = runs() / 5;
    let mut clicks = Tally::default();
    (0..runs as u64).for_each(|seed| {
        clicks.add(&experiment(&shop, 2_000_000 + seed), "click/exposure", shop.lift);
    });
    within("power, one look", clicks.fixed, runs, clicks.power / runs as f64);
    within("power, one look, CUPED", clicks.fixed_cuped, runs, clicks.power_cuped / runs as f64);
    println!(
        "power, every look: {} plain, {} CUPED",
        clicks.always_valid, clicks.always_valid_cuped
    );
    assert!(clicks.fixed_cuped > clicks.fixed, "CUPED finds more");
    assert!(clicks.always_valid > 0 && clicks.always_valid < clicks.peeked);
    at_least("coverage, one look", clicks.covered, runs, 1.0 - ALPHA);
    at_least("coverage, one look, CUPED", clicks.covered_cuped, runs, 1.0 - ALPHA);
    at_least("coverage, every look together", clicks.always_covered, runs, 1.0 - ALPHA);
}

fn guardrail_results(units: [usize; 2], late: [f64; 2], split: [f64; 2]) -> Results {
    let mut collector = Collector::new(schema());
    for arm in [0, 1] {
        for unit in 0..units[arm] {
            // One in `late_every` units is late.
            let before = (unit as f64 * late[arm]).floor();
            let is_late = ((unit + 1) as f64 * late[arm]).floor() - before;
            let row = Row {
                exposures: 1.0,
                outcomes: vec![(unit % 4 / 3) as f64],
                late: is_late,
                coverage: 1.0 - 0.2 * is_late,
                ..Row::default()
            };
            collector.add(arm, &format!("{arm}-{unit}"), &row);
        }
    }
    let guardrail = |metric| Guardrail { metric, margin: 0.01 };
    let options = ResultsOptions {
        control: 0,
        shares: split.to_vec(),
        plan: AnalysisPlan::default(),
        guardrails: vec![
            guardrail(GuardrailMetric::Late),
            guardrail(GuardrailMetric::Errors),
            guardrail(GuardrailMetric::VectorCoverage),
        ],
        one_look: false,
        days: None,
    };
    results(&collector.collected(), &options).expect("two arms")
}

#[test]
fn a_guardrail_stops_a_significantly_worse_arm() {
    let verdicts = |results: &Results| -> Vec<GuardrailVerdict> {
        results.guardrails.iter().map(|one| one.verdict).collect()
    };
    use GuardrailVerdict::{Ok, Stop, Unknown, Watch};
    let even = [0.5, 0.5];
    assert_eq!(verdicts(&guardrail_results([2_000, 2_000], [0.05, 0.05], even)), [Ok, Ok, Ok]);
    assert_eq!(verdicts(&guardrail_results([2_000, 2_000], [0.05, 0.12], even)), [Stop, Ok, Watch]);
    assert_eq!(verdicts(&guardrail_results([2_000, 2_000], [0.05, 0.25], even)), [Stop, Ok, Stop]);
    assert_eq!(verdicts(&guardrail_results([300, 300], [0.05, 0.08], even)), [Watch, Ok, Ok]);
    assert_eq!(verdicts(&guardrail_results([50, 50], [0.05, 0.9], even)), [Unknown; 3]);
}

/// Experiments whose arms show lists of ten, the arm of a twentieth of the users out of the first share of the catalog;
/// the verdict at each of ten looks.
fn catalog_verdicts(seed: u64, breadth: f64) -> Vec<GuardrailVerdict> {
    const CATALOG: u64 = 2_000;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut collector = Collector::new(schema());
    let mut shown = ShownItems::new(2, CATALOG);
    let options = ResultsOptions {
        control: 0,
        shares: vec![0.95, 0.05],
        plan: AnalysisPlan { units: 4_000, ..AnalysisPlan::default() },
        guardrails: vec![Guardrail { metric: GuardrailMetric::CatalogCoverage, margin: 0.02 }],
        one_look: false,
        days: None,
    };
    let look = |look: usize| {
        for number in look * 400..(look + 1) * 400 {
            let (unit, arm) = (format!("{seed}-{number}"), usize::from(random.random_bool(0.05)));
            // A user likes a part of the catalog, so that the lists of one user are similar.
            let (liked, whole) = (random.random::<f64>(), if arm == 1 { breadth } else { 1.0 });
            for _ in 0..3 {
                let item = |_| {
                    let place = (liked + 0.2 * random.random::<f64>()).fract().powi(2);
                    format!("i{}", (place * whole * CATALOG as f64) as u64)
                };
                let list: Vec<String> = (0..10).map(item).collect();
                shown.add(arm, &unit, list.iter().map(String::as_str));
                let row = Row { exposures: 1.0, outcomes: vec![0.0], ..Row::default() };
                collector.add(arm, &unit, &row);
            }
        }
        let catalog = Some(CatalogShown { shown: shown.clone(), items: CATALOG });
        let collected = Collected { catalog, ..collector.collected() };
        results(&collected, &options).expect("two arms").guardrails[0].verdict
    };
    (0..10).map(look).collect()
}

#[test]
fn the_catalog_guardrail_stops_a_narrower_arm_and_seldom_an_equal_one() {
    let runs = runs() / 5;
    let stopped = |breadth: f64| {
        let stops = |seed| catalog_verdicts(seed, breadth).contains(&GuardrailVerdict::Stop);
        (0..runs as u64).filter(|seed| stops(*seed)).count()
    };
    at_most("catalog coverage, no difference, every look", stopped(1.0), runs, ALPHA);
    at_least("catalog coverage, 30% narrower, every look", stopped(0.7), runs, 0.9);
}

#[test]
fn a_broken_split_hides_the_lift_but_not_the_guardrails() {
    let broken = guardrail_results([2_000, 3_000], [0.05, 0.25], [0.5, 0.5]);
    assert!(broken.hidden.is_some_and(|why| why.contains("[2000, 3000] units")));
    assert!(broken.metrics.is_empty());
    assert_eq!(broken.guardrails[0].verdict, GuardrailVerdict::Stop);
    let as_planned = guardrail_results([2_000, 3_000], [0.05, 0.25], [0.4, 0.6]);
    assert_eq!(as_planned.hidden, None);
    assert!(!as_planned.metrics.is_empty());
}

#[test]
fn units_of_several_arms_hide_the_lift() {
    let mut collector = Collector::new(schema());
    let row = |clicks: f64| Row { exposures: 2.0, outcomes: vec![clicks], ..Row::default() };
    for unit in 0..1_000_usize {
        collector.add(unit % 2, &unit.to_string(), &row((unit % 3) as f64));
    }
    let options = ResultsOptions {
        control: 0,
        shares: vec![0.5, 0.5],
        plan: AnalysisPlan::default(),
        guardrails: Vec::new(),
        one_look: true,
        days: None,
    };
    let before = results(&collector.collected(), &options).expect("two arms");
    assert_eq!(before.hidden, None);
    (0..10_usize).for_each(|unit| collector.add(1 - unit % 2, &unit.to_string(), &row(1.0)));
    let after = results(&collector.collected(), &options).expect("two arms");
    assert_eq!(after.crossed, 10);
    assert!(after.hidden.is_some_and(|why| why.contains("more than one arm")));
}
