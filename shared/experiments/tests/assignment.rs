//! Assignment: in proportion, sticky, exclusive within a layer and independent across layers.

use std::collections::{BTreeMap, HashMap};

use plugrank_experiments::{
    Arm, Assigner, Definitions, Experiment, ForcedError, Layer, Ramp, Slots, Subject,
    SubjectFeature, UnitKind, UserFeatures,
};
use proptest::prelude::*;
use statrs::distribution::{ChiSquared, ContinuousCDF};

const UNITS: usize = 10_000;

fn subject<'a>(user_id: &'a str, request_id: &'a str) -> Subject<'a> {
    Subject { user_id, request_id, surface: "home", features: &() }
}

fn layer(name: &str) -> Layer {
    Layer { name: name.to_owned(), ..Layer::default() }
}

fn experiment(name: &str, layer: &str, arms: &[(&str, u16)]) -> Experiment {
    let arm = |(name, permille): &(&str, u16)| Arm {
        name: (*name).to_owned(),
        permille: Some(*permille),
        ..Arm::default()
    };
    Experiment {
        name: name.to_owned(),
        layer: layer.to_owned(),
        control: arms[0].0.to_owned(),
        arms: arms.iter().map(arm).collect(),
        ..Experiment::default()
    }
}

fn assigner(layers: Vec<Layer>, experiments: Vec<Experiment>) -> Assigner {
    let definitions = Definitions { layers, experiments };
    let document = serde_json::to_value(definitions).expect("it is JSON");
    Assigner::new(Definitions::from_json(document).expect("it is good"))
}

/// The arm of each unit, `-` for none.
fn arms(assigner: &Assigner, layer: usize) -> Vec<String> {
    let layer = &assigner.definitions().layers[layer].name;
    let arm = |unit: usize| {
        let user = format!("u{unit}");
        let got = assigner.assign(&subject(&user, "r"));
        let of_layer = got.iter().find(|one| one.layer.name == *layer);
        of_layer.map_or_else(|| "-".to_owned(), |one| one.arm.name.clone())
    };
    (0..UNITS).map(arm).collect()
}

fn counts<T: std::hash::Hash + Eq>(of: impl IntoIterator<Item = T>) -> HashMap<T, f64> {
    let mut counts = HashMap::new();
    of.into_iter().for_each(|one| *counts.entry(one).or_insert(0.0) += 1.0);
    counts
}

/// Chance of counts at least as far from `expected`.
fn chi_square(pairs: &[(f64, f64)], freedom: f64) -> f64 {
    let statistic = pairs.iter().map(|(got, expected)| (got - expected).powi(2) / expected).sum();
    ChiSquared::new(freedom).expect("freedom is above 0").sf(statistic)
}

#[test]
fn the_split_matches_the_configured_shares() {
    let split = [("control", 700), ("a", 200), ("b", 100)];
    let assigner = assigner(vec![layer("l")], vec![experiment("e", "l", &split)]);
    let counts = counts(arms(&assigner, 0));
    let pairs: Vec<_> = split
        .iter()
        .map(|(name, permille)| (counts[*name], UNITS as f64 * f64::from(*permille) / 1e3))
        .collect();
    assert!(chi_square(&pairs, 2.0) > 1e-3, "{counts:?}");
}

/// Computed with the Python package blake3.
#[test]
fn assignment_is_unchanged_since_the_first_version() {
    let split = [("control", 500), ("a", 250), ("b", 250)];
    let mut half = experiment("half", "ranking", &split);
    half.slots = Slots { from: 0, to: 500 };
    let mut other = experiment("other", "ranking", &split);
    other.slots = Slots { from: 500, to: 1_000 };
    let assigner = assigner(vec![layer("ranking")], vec![half, other]);
    let golden = [
        "half/control",
        "other/b",
        "half/control",
        "half/b",
        "half/control",
        "half/control",
        "half/control",
        "other/control",
    ];
    let got: Vec<String> = (0..golden.len())
        .map(|unit| {
            let user = format!("user-{unit}");
            let one = assigner.assign(&subject(&user, "r"))[0];
            format!("{}/{}", one.experiment.name, one.arm.name)
        })
        .collect();
    assert_eq!(got, golden);
}

#[test]
fn layers_are_independent_of_each_other() {
    let split = [("control", 500), ("a", 500)];
    let assigner = assigner(
        vec![layer("one"), layer("two")],
        vec![experiment("first", "one", &split), experiment("second", "two", &split)],
    );
    let (one, two) = (arms(&assigner, 0), arms(&assigner, 1));
    let (of_one, of_two) = (counts(&one), counts(&two));
    let both = counts(one.iter().zip(&two));
    let pairs: Vec<_> =
        both.iter().map(|((a, b), count)| (*count, of_one[a] * of_two[b] / UNITS as f64)).collect();
    assert_eq!(pairs.len(), 4);
    assert!(chi_square(&pairs, 1.0) > 1e-3, "{both:?}");
}

#[test]
fn experiments_of_a_layer_exclude_each_other_and_their_splits_are_independent() {
    let split = [("control", 500), ("a", 500)];
    let mut first = experiment("first", "l", &split);
    first.slots = Slots { from: 0, to: 300 };
    let mut second = experiment("second", "l", &split);
    second.slots = Slots { from: 300, to: 800 };
    let assigner = assigner(vec![layer("l")], vec![first, second]);
    let mut taken = HashMap::new();
    for unit in 0..UNITS {
        let user = format!("u{unit}");
        let got = assigner.assign(&subject(&user, "r"));
        assert!(got.len() <= 1);
        let key = got.first().map(|one| (one.experiment.name.as_str(), one.arm.name.as_str()));
        *taken.entry(key).or_insert(0.0) += 1.0;
    }
    let n = UNITS as f64;
    let expected = [
        (Some(("first", "control")), 0.15),
        (Some(("first", "a")), 0.15),
        (Some(("second", "control")), 0.25),
        (Some(("second", "a")), 0.25),
        (None, 0.2),
    ];
    let pairs: Vec<_> = expected.iter().map(|(key, share)| (taken[key], share * n)).collect();
    assert!(chi_square(&pairs, 4.0) > 1e-3, "{taken:?}");
}

#[test]
fn assignment_by_user_is_sticky_and_by_request_is_not() {
    let split = [("control", 500), ("a", 500)];
    let by_request = Layer { unit: UnitKind::Request, ..layer("requests") };
    let assigner = assigner(
        vec![layer("users"), by_request],
        vec![experiment("u", "users", &split), experiment("r", "requests", &split)],
    );
    let request = |request: usize| {
        let id = format!("r{request}");
        let got = assigner.assign(&subject("u1", &id));
        (got[0].arm.name.clone(), got[1].arm.name.clone())
    };
    let got: Vec<_> = (0..2_000).map(request).collect();
    assert!(got.iter().all(|(user, _)| *user == got[0].0));
    let of_requests = counts(got.into_iter().map(|(_, arm)| arm));
    assert!(chi_square(&[(of_requests["a"], 1e3), (of_requests["control"], 1e3)], 1.0) > 1e-3);
}

struct User {
    country: &'static str,
    age: f64,
    tags: Vec<&'static str>,
}

impl UserFeatures for User {
    fn feature(&self, name: &str) -> Option<SubjectFeature<'_>> {
        match name {
            "country" => Some(SubjectFeature::Text(self.country)),
            "age" => Some(SubjectFeature::Number(self.age)),
            "tags" => Some(SubjectFeature::Texts(self.tags.clone())),
            _ => None,
        }
    }
}

#[test]
fn targets_exclude_users_that_do_not_match() {
    let document = serde_json::json!({
        "layers": [{ "name": "l" }],
        "experiments": [{
            "name": "e", "layer": "l", "control": "c",
            "arms": [{ "name": "c", "weight": 1 }, { "name": "a", "weight": 1 }],
            "target": {
                "surfaces": ["home"],
                "must": [{ "feature": "country", "any": ["de", "at"] }, { "feature": "age", "gte": 18, "lt": 65 }],
                "must_not": [{ "feature": "tags", "any": ["staff"] }],
            },
        }],
    });
    let assigner = Assigner::new(Definitions::from_json(document).expect("it is good"));
    let takes_part = |surface, country, age, tags: &[&'static str]| {
        let user = User { country, age, tags: tags.to_vec() };
        let subject = Subject { user_id: "u", request_id: "r", surface, features: &user };
        !assigner.assign(&subject).is_empty()
    };
    assert!(takes_part("home", "de", 18.0, &[]));
    assert!(takes_part("home", "at", 64.9, &["new"]));
    assert!(!takes_part("search", "de", 18.0, &[]));
    assert!(!takes_part("home", "fr", 18.0, &[]));
    assert!(!takes_part("home", "de", 17.9, &[]));
    assert!(!takes_part("home", "de", 65.0, &[]));
    assert!(!takes_part("home", "de", 30.0, &["new", "staff"]));
    assert!(assigner.assign(&subject("u", "r")).is_empty(), "a user without features");
}

#[test]
fn forced_arms_override_assignment() {
    let mut first = experiment("first", "l", &[("control", 500), ("a", 500)]);
    first.slots = Slots { from: 0, to: 1 };
    first.target.surfaces = vec!["nowhere".to_owned()];
    first.arms[1].forced = vec!["tester".to_owned()];
    let mut second = experiment("second", "l", &[("control", 500), ("b", 500)]);
    second.slots = Slots { from: 1, to: 1_000 };
    let third = experiment("third", "m", &[("control", 500), ("c", 500)]);
    let assigner = assigner(vec![layer("l"), layer("m")], vec![first, second, third]);

    let got = assigner.assign(&subject("tester", "r"));
    assert_eq!((got[0].arm.name.as_str(), got[0].forced, got[1].forced), ("a", true, false));

    let named = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let forced = |pairs| assigner.assign_forced(&subject("u", "r"), &named(pairs));
    let got = forced(&[("first", "a"), ("third", "c")]).expect("they are defined");
    assert!(got.iter().all(|one| one.forced));
    assert_eq!((got[0].arm.name.as_str(), got[1].arm.name.as_str()), ("a", "c"));
    assert!(matches!(forced(&[("fourth", "a")]), Err(ForcedError::Experiment(_))));
    assert!(matches!(forced(&[("first", "b")]), Err(ForcedError::Arm { .. })));
    let both = forced(&[("first", "a"), ("second", "b")]);
    assert!(matches!(both, Err(ForcedError::Exclusive(..))));
}

fn ramped(at: u8, stopped: bool) -> Assigner {
    let mut one = experiment("e", "l", &[("control", 400), ("a", 300), ("b", 300)]);
    one.ramp = Some(Ramp { at, ..Ramp::default() });
    one.arms[2].stopped = stopped;
    assigner(vec![layer("l")], vec![one])
}

#[test]
fn each_ramp_step_takes_each_arms_share_from_the_control() {
    let mut before = arms(&ramped(1, false), 0);
    for at in [1, 5, 25, 50] {
        let now = arms(&ramped(at, false), 0);
        let arm_counts = counts(&now);
        let share = f64::from(at).min(30.0) / 100.0;
        for arm in ["a", "b"] {
            let (got, expected) = (arm_counts[&arm.to_owned()], UNITS as f64 * share);
            let pairs = [(got, expected), (UNITS as f64 - got, UNITS as f64 - expected)];
            assert!(chi_square(&pairs, 1.0) > 1e-3, "{arm} at {at}%: {got}");
        }
        for (was, is) in before.iter().zip(&now) {
            assert!(was == is || was == "control", "{was} became {is} at {at}%");
        }
        before = now;
    }
    for (was, is) in before.iter().zip(arms(&ramped(50, true), 0)) {
        assert!(*was == is || (was == "b" && is == "control"), "{was} became {is} with b stopped");
    }
}

proptest! {
    /// Whatever the shares and the step, a unit changes between the control and one arm only.
    #[test]
    fn ramp_steps_never_move_a_unit_between_treatment_arms(
        weights in prop::collection::vec(1_u16..100, 2..6),
        (from, to) in (1_u8..=100, 1_u8..=100),
        user in "[a-z0-9]{1,12}",
    ) {
        let (from, to) = (from.min(to), from.max(to));
        let arm = |at: u8| {
            let names: Vec<String> = (0..weights.len()).map(|arm| format!("arm{arm}")).collect();
            let list: Vec<(&str, u16)> =
                names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
            let mut one = experiment("e", "l", &list);
            for arm in &mut one.arms {
                arm.weight = arm.permille.take();
            }
            one.ramp = Some(Ramp { steps: vec![at], at, every_ms: None });
            let assigner = assigner(vec![layer("l")], vec![one]);
            assigner.assign(&subject(&user, "r"))[0].arm.name.clone()
        };
        let (was, is) = (arm(from), arm(to));
        prop_assert!(was == is || was == "arm0", "{was} became {is}");
    }
}
