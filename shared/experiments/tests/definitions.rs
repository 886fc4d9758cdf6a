//! Definitions: parsing, and errors that list every problem at once.

use plugrank_experiments::{Definitions, Experiment, UnitKind};

const GOOD: &str = r#"
[[layers]]
name = "ranking"

[[layers]]
name = "page"
unit = "request"
salt = "page-2"

[[experiments]]
name = "ppm"
layer = "ranking"
slots = { from = 0, to = 500 }
control = "idrec"
ramp = { at = 5 }
plan = { lift = 0.02, units = 50000 }
guardrails = [{ metric = "late", margin = 0.01 }]

[experiments.target]
surfaces = ["home"]
must = [{ feature = "country", any = ["de", "at"] }, { feature = "age", gte = 18 }]
must_not = [{ feature = "staff", any = ["yes"] }]

[[experiments.arms]]
name = "idrec"
permille = 500

[[experiments.arms]]
name = "unim"
permille = 500
forced = ["u17"]

[experiments.arms.settings]
bundle = "shop-8"
rung = "full"
surface = "home-b"
"#;

#[test]
fn a_definition_is_read_with_its_defaults() {
    let definitions = Definitions::from_toml(GOOD).expect("it is good");
    let ppm = definitions.experiment("ppm").expect("it is there");
    assert_eq!(definitions.layers[0].unit, UnitKind::User);
    assert_eq!(definitions.layers[0].salt(), "ranking");
    assert_eq!(definitions.layers[1].salt(), "page-2");
    assert_eq!(ppm.salt(), "ppm");
    assert_eq!((ppm.plan.alpha, ppm.plan.lift, ppm.plan.units), (0.05, 0.02, 50_000));
    assert_eq!(ppm.ramp.as_ref().and_then(|ramp| ramp.next()), Some(25));
    assert_eq!(ppm.arms[1].settings.bundle.as_deref(), Some("shop-8"));
    assert_eq!(ppm.arms[1].settings.surface.as_deref(), Some("home-b"));
    let shares = ppm.shares();
    assert!((shares[0] - 0.95).abs() < 1e-12 && (shares[1] - 0.05).abs() < 1e-12, "{shares:?}");
}

#[test]
fn definitions_round_trip() {
    let definitions = Definitions::from_toml(GOOD).expect("it is good");
    let written = serde_json::to_value(&definitions).expect("it is JSON");
    assert_eq!(Definitions::from_json(written).expect("as before"), definitions);
}

#[test]
fn all_problems_are_reported_at_once() {
    let bad = r#"
[[layers]]
name = "ranking"
unit = "session"

[[layers]]
name = "page"
salt = "ranking"
owner = "me"

[[experiments]]
name = "one two"
layer = "rankin"
slots = { from = 400, to = 1200 }
control = "c"
ramp = { steps = [5, 1], at = 7 }
plan = { alpha = 0.7 }
guardrails = [{ metric = "late", margin = 2 }]
target = { must = [{ feature = "age" }, { any = [] }] }
arms = [{ name = "a", permille = 300 }, { name = "a", permille = "many" }]

[[experiments]]
layer = "ranking"
slots = { from = 0, to = 600 }
control = "a"
arms = [{ name = "a", permille = 300 }, { name = "b", permille = 0, colour = "red" }]

[[experiments]]
name = "third"
layer = "ranking"
slots = { from = 500, to = 1000 }
control = "a"
ramp = { at = 7 }
arms = [{ name = "a", weight = 1, forced = ["u1"] }, { name = "b", weight = 1, forced = ["u1"] }]
"#;
    let problems = Definitions::from_toml(bad).expect_err("it is bad");
    let paths: Vec<&str> = problems.list().iter().map(|problem| problem.path.as_str()).collect();
    for path in [
        "layers[0].unit",
        "layers[1].owner",
        "layers[1].salt",
        "experiments[0].name",
        "experiments[0].layer",
        "experiments[0].slots",
        "experiments[0].control",
        "experiments[0].ramp.steps",
        "experiments[0].plan.alpha",
        "experiments[0].guardrails[0].margin",
        "experiments[0].target.must[0]",
        "experiments[0].target.must[1].feature",
        "experiments[0].target.must[1].any",
        "experiments[0].arms[1].name",
        "experiments[0].arms[1].permille",
        "experiments[1].name",
        "experiments[1].arms",
        "experiments[1].arms[1].colour",
        "experiments[1].arms[1].permille",
        "experiments[2].slots",
        "experiments[2].ramp.at",
        "experiments[2].arms[1].forced",
    ] {
        assert!(paths.contains(&path), "{path} is not among\n{problems}");
    }
    let text = problems.to_string();
    assert!(text.contains("layers[1].owner: unknown field `owner`, expected one of"), "{text}");
    assert_eq!(text.lines().count(), problems.list().len());
}

#[test]
fn documents_of_another_kind_are_refused() {
    for document in ["[1]", "\"a\"", "{\"layers\": 7}", "{\"experiments\": [\"a\"]}"] {
        let value = serde_json::from_str(document).expect("it is JSON");
        assert!(Definitions::from_json(value).is_err(), "{document}");
    }
    let error = Definitions::from_toml("layers = [").expect_err("it is no TOML");
    assert!(error.to_string().starts_with("is not TOML"), "{error}");
}

#[test]
fn weights_are_normalised_to_shares() {
    let arms = |weights: [u16; 3]| {
        let arm = |(index, weight): (usize, &u16)| serde_json::json!({ "name": format!("arm{index}"), "weight": weight });
        let arms: Vec<_> = weights.iter().enumerate().map(arm).collect();
        let experiment: Experiment =
            serde_json::from_value(serde_json::json!({ "control": "arm0", "arms": arms }))
                .expect("it is an experiment");
        experiment.shares()
    };
    for (share, expected) in arms([1, 1, 2]).into_iter().zip([0.25, 0.25, 0.5]) {
        assert!((share - expected).abs() < 1e-12);
    }
}
