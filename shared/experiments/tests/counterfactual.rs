//! Off-policy estimates, against simulations with known true values.

use plugrank_experiments::counterfactual::{DecisionError, LoggedDecision, Replay, ReplayResults};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{Binomial, DiscreteCDF};

const RUNS: u64 = 200;
const UNITS: usize = 400;
const ALPHA: f64 = 0.05;

/// Chance of a reward by kind of user and choice.
const REWARD: [[f64; 3]; 2] = [[0.1, 0.3, 0.2], [0.4, 0.1, 0.2]];
/// The policy that made the log, and the other one.
const LOGGED: [[f64; 3]; 2] = [[0.6, 0.2, 0.2], [0.2, 0.4, 0.4]];
const TARGET: [[f64; 3]; 2] = [[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]];

fn value(policy: [[f64; 3]; 2], reward: [[f64; 3]; 2]) -> f64 {
    let of_kind = |kind: usize| expectation(policy[kind], reward[kind]);
    f64::midpoint(of_kind(0), of_kind(1))
}

fn expectation(policy: [f64; 3], reward: [f64; 3]) -> f64 {
    policy.iter().zip(reward).map(|(chance, reward)| chance * reward).sum()
}

/// A log of users with four decisions each, replayed for `target` with a model's expectations.
fn replay(seed: u64, target: [[f64; 3]; 2], model: [[f64; 3]; 2]) -> Replay {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut replay = Replay::default();
    for unit in 0..UNITS {
        let kind = random.random_range(0..2);
        for _ in 0..4 {
            let dice: f64 = random.random();
            let [first, second, _] = LOGGED[kind];
            let choice = usize::from(dice >= first) + usize::from(dice >= first + second);
            let reward = f64::from(u8::from(random.random_bool(REWARD[kind][choice])));
            let decision = LoggedDecision {
                reward,
                propensity: LOGGED[kind][choice],
                target: target[kind][choice],
                expected: model[kind][choice],
                expected_target: expectation(target[kind], model[kind]),
            };
            replay.add(&unit.to_string(), &decision).expect("it is a decision");
        }
    }
    replay
}

fn all(model: [[f64; 3]; 2]) -> Vec<ReplayResults> {
    let one = |seed| replay(seed, TARGET, model).results(ALPHA).expect("they overlap");
    (0..RUNS).map(one).collect()
}

fn mean(of: impl Iterator<Item = f64>) -> f64 {
    of.sum::<f64>() / RUNS as f64
}

#[test]
fn every_estimator_is_unbiased_and_its_interval_covers_the_truth() {
    let truth = value(TARGET, REWARD);
    let floor = Binomial::new(1.0 - ALPHA, RUNS).expect("a share").inverse_cdf(0.005);
    let wrong = [[0.9, 0.0, 0.5], [0.0, 0.7, 0.1]];
    for model in [REWARD, wrong] {
        let results = all(model);
        for (name, of) in [
            ("inverse propensity", (|one| one.inverse_propensity) as fn(&ReplayResults) -> _),
            ("self-normalised", |one| one.self_normalised),
            ("doubly robust", |one| one.doubly_robust),
        ] {
            let error = mean(results.iter().map(|one| of(one).standard_error));
            let bias = mean(results.iter().map(|one| of(one).value)) - truth;
            let covered = results.iter().filter(|one| of(one).interval.covers(truth)).count();
            assert!(bias.abs() < 3.0 * error / (RUNS as f64).sqrt(), "{name}: bias {bias}");
            assert!(covered as u64 >= floor, "{name}: {covered} of {RUNS}, floor {floor}");
        }
        let logged = mean(results.iter().map(|one| one.logged.value));
        assert!((logged - value(LOGGED, REWARD)).abs() < 0.005, "{logged}");
        assert!((logged - truth).abs() > 0.05, "the policies differ");
    }
}

#[test]
fn a_good_model_gives_the_doubly_robust_estimate_the_lowest_variance() {
    let results = all(REWARD);
    let (robust, inverse) = (
        mean(results.iter().map(|one| one.doubly_robust.standard_error)),
        mean(results.iter().map(|one| one.inverse_propensity.standard_error)),
    );
    assert!(robust < 0.95 * inverse, "{robust} {inverse}");
}

#[test]
fn the_effective_sample_size_follows_from_the_weights() {
    let results = replay(1, LOGGED, REWARD).results(ALPHA).expect("it is the same policy");
    assert!((results.effective - results.decisions).abs() < 1e-6);
    assert!((results.inverse_propensity.value - results.logged.value).abs() < 1e-12);
    // sum over choices of target^2 / logged, for each kind of user: 10/3 + 1/6 ...
    let squared: f64 = (0..2)
        .map(|kind| (0..3).map(|c| TARGET[kind][c].powi(2) / LOGGED[kind][c]).sum::<f64>() / 2.0)
        .sum();
    let other = replay(1, TARGET, REWARD).results(ALPHA).expect("they overlap");
    assert!((other.effective / other.decisions * squared - 1.0).abs() < 0.1);
}

#[test]
fn too_little_overlap_is_refused() {
    // A choice that is not in the log, and that the other policy takes half of the time.
    let mut replay = Replay::default();
    let mut rare = Replay::default();
    for unit in 0..2_000 {
        let decision = LoggedDecision {
            reward: 1.0,
            propensity: 1.0,
            target: 0.5,
            expected: 0.0,
            expected_target: 0.0,
        };
        replay.add(&unit.to_string(), &decision).expect("it is a decision");
        let seldom = unit % 1_000 == 0;
        let (propensity, target) = if seldom { (0.001, 1.0) } else { (0.999, 0.0) };
        let decision = LoggedDecision { propensity, target, ..decision };
        rare.add(&unit.to_string(), &decision).expect("it is a decision");
    }
    let thin = replay.results(ALPHA).expect_err("half of the choices have no support");
    assert!((thin.support - 0.5).abs() < 1e-9, "{thin}");
    let thin = rare.results(ALPHA).expect_err("two decisions carry everything");
    assert!(thin.effective < 3.0 && thin.to_string().contains("worth 2 of 2000"), "{thin}");
    assert!(Replay::default().results(ALPHA).is_err(), "nothing was logged");
}

#[test]
fn decisions_without_a_propensity_are_refused() {
    let good = LoggedDecision {
        reward: 1.0,
        propensity: 0.5,
        target: 0.5,
        expected: 0.0,
        expected_target: 0.0,
    };
    let mut replay = Replay::default();
    let mut error = |decision| replay.add("u", &decision).err();
    assert_eq!(error(good), None);
    for propensity in [0.0, -0.1, 1.1] {
        let refused = error(LoggedDecision { propensity, ..good });
        assert_eq!(refused, Some(DecisionError::Propensity(propensity)));
    }
    assert_eq!(error(LoggedDecision { target: 1.5, ..good }), Some(DecisionError::Target(1.5)));
    assert_eq!(error(LoggedDecision { reward: f64::NAN, ..good }), Some(DecisionError::Value));
}
