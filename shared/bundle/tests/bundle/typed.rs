//! Format 2: numbers, features of requests and candidates, several tasks.

use std::collections::BTreeMap;

use plugrank_bundle::{FeatureEncoder, GraphName};
use plugrank_contract::{
    FeatureValue, FeatureValues, HistoryEntry, Item, ItemId, TensorDtype, User, UserId,
    feature::Number,
};
use serde_json::{Value, json};

use crate::bundle_copy::{BundleCopy, fixture};

fn after(change: impl FnOnce(&mut Value)) -> String {
    BundleCopy::from("typed").edit(change).refused()
}

fn encoder() -> FeatureEncoder {
    plugrank_bundle::Bundle::open(&fixture("typed")).unwrap().feature_encoder().unwrap()
}

fn values(of: &[(&str, FeatureValue)]) -> FeatureValues {
    of.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn number(number: f64) -> FeatureValue {
    Number::new(number).unwrap().into()
}

/// Brand, price, three tags, stock.
fn item(features: &[(&str, FeatureValue)]) -> ([u32; 1], f32, [u32; 4]) {
    let item = Item {
        item_id: ItemId::from("i"),
        title: String::new(),
        text: String::new(),
        categories: vec![],
        created_at: None,
        available: true,
        image_hash: None,
        features: values(features),
    };
    let row = encoder().item(&item);
    ([row[0]], f32::from_bits(row[1]), row[2..].try_into().unwrap())
}

#[test]
fn item_values_become_ids_and_numbers() {
    let none = item(&[]);
    assert_eq!(none, ([0], -1.0, [0, 0, 0, 0]));
    let missing = encoder().missing_item(&ItemId::from("i"));
    assert_eq!(f32::from_bits(missing[1]), -1.0, "what stands for a missing price");
    // Integers with all digits, other numbers with the fewest, booleans as `true` or `false`.
    for (brand, id) in [
        ("acme".into(), 2),
        (FeatureValue::from(9_007_199_254_740_993), 3),
        (FeatureValue::from(9_007_199_254_740_992), 1),
        (number(0.1), 4),
        (number(0.100_000_001), 1),
        (FeatureValue::flag(true), 5),
        ("".into(), 0),
    ] {
        assert_eq!(item(&[("brand", brand.clone())]).0, [id], "{brand}");
    }
    assert_eq!(item(&[("price", number(std::f64::consts::E - 1.0))]).1, 1.0);
    assert_eq!(item(&[("price", "3".into())]).1, -1.0, "a text is no number");
    let stocks = [0.0, 0.5, 9.0, 10.0].map(|stock| item(&[("stock", number(stock))]).2[3]);
    assert_eq!(stocks, [1, 2, 2, 3]);
    let tags = |tags: FeatureValue| item(&[("tags", tags)]).2[..3].to_vec();
    assert_eq!(tags("blue".into()), [3, 0, 0]);
    let four = ["new", "x", "blue", "new"].map(Into::into);
    assert_eq!(tags(FeatureValue::Texts(four.into())), [2, 1, 3], "cut");
    assert_eq!(tags(FeatureValue::Numbers([7_i64.into()].into())), [4, 0, 0]);
}

#[test]
fn users_requests_and_candidates_are_encoded_to_rows() {
    let encoder = encoder();
    let id = UserId::from("u");
    let user = User { user_id: id.clone(), features: values(&[("age", 55.into())]) };
    assert_eq!(f32::from_bits(encoder.user(&id, Some(&user))[0]), 1.5);
    assert_eq!(f32::from_bits(encoder.user(&id, None)[0]), 0.0);
    // A Sunday, 00:30 in UTC and 01:30 in Berlin.
    let given = values(&[("device", "desktop".into()), ("temperature", number(-4.5))]);
    let row = encoder.request(&given, 1_774_744_200_000);
    assert_eq!((row[0], row[1], f32::from_bits(row[2])), (3, 3, -4.5));
    let mut rows = Vec::new();
    encoder.push_candidate(&values(&[("slot", "side".into())]), &mut rows);
    encoder.push_candidate(&values(&[("bid", number(0.0)), ("slot", 9.into())]), &mut rows);
    assert_eq!(rows, [0, 3, 0, 1]);
    let slots = encoder.candidate_slots().iter().map(|slot| (&*slot.name, slot.dtype));
    let expected = [("bid", TensorDtype::F32), ("slot", TensorDtype::I64)];
    assert_eq!(slots.collect::<Vec<_>>(), expected);
}

#[test]
fn entries_of_a_history_have_an_action_and_a_value() {
    let encoder = encoder();
    let entry = HistoryEntry::new("i".into(), true, 5);
    let told = |action: &str, value: f64| HistoryEntry {
        action: Some(action.into()),
        value: Number::new(value),
        ..entry.clone()
    };
    let rows = encoder.history(&[told("buy", 0.0), told("hide", std::f64::consts::E - 1.0), entry]);
    let row = |at: usize| (rows[2 * at], f32::from_bits(rows[2 * at + 1]));
    assert_eq!([row(0), row(1), row(2)], [(3, 0.0), (1, 1.0), (0, 0.0)]);
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 4] = [
        (|m| m["features"]["history"][0]["name"] = json!("deed"), "a history has `action` and"),
        (|m| m["features"]["history"][0]["column"] = json!("deed"), "must be `action` too"),
        (|m| m["features"]["history"][1]["length"] = json!(2), "a number of `length` 1"),
        (
            |m| drop(m["features"]["history"].as_array_mut().unwrap().remove(1)),
            "there is no feature `value`",
        ),
    ];
    for (change, part) in cases {
        let message = after(change);
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn a_text_in_a_number_feature_is_named() {
    let encoder = encoder();
    let wrong = encoder.wrong_request(&values(&[("temperature", "warm".into())])).unwrap();
    assert_eq!(wrong.column, "temperature");
    assert_eq!(wrong.detail, "is text; the model reads a number");
    let texts = FeatureValue::Texts(["1".into()].into());
    assert_eq!(encoder.wrong_candidate(&values(&[("bid", texts)])).unwrap().column, "bid");
    let fine = values(&[("device", 3.into()), ("temperature", 3.into()), ("else", "x".into())]);
    assert_eq!(encoder.wrong_request(&fine), None);
}

#[test]
fn the_manifest_has_main_task_time_zone_and_calibrations() {
    let bundle = BundleCopy::from("typed").open().unwrap();
    let manifest = bundle.manifest();
    assert_eq!((manifest.main_task(), manifest.timezone.name()), ("click", "Europe/Berlin"));
    assert_eq!(bundle.record().vector(), None);
    let click = bundle.calibration(GraphName::Unified, "click").apply(1.0);
    assert!((click - 0.731_058_6).abs() < 1e-6);
    assert_eq!(bundle.calibration(GraphName::Unified, "purchase").apply(0.0), 0.5);
    let purchase = BundleCopy::from("typed").edit(|m| m["value"] = json!({ "task": "purchase" }));
    assert_eq!(purchase.open().unwrap().manifest().main_task(), "purchase");
}

#[test]
fn invalid_features_are_refused() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 15] = [
        (|m| m["timezone"] = json!("Mars/Base"), "timezone"),
        (|m| m["features"]["item"][0]["kind"] = json!("text"), "unknown variant `text`"),
        (
            |m| drop(m["features"]["item"][0].as_object_mut().unwrap().remove("vocab")),
            "needs `vocab`",
        ),
        (|m| m["features"]["item"][0]["missing"] = json!(1), "are for `kind` number"),
        (|m| m["features"]["item"][1]["vocab"] = json!("vocab/slot.txt"), "is for `kind` category"),
        (|m| m["features"]["item"][1]["transform"] = json!("log2"), "unknown variant `log2`"),
        (
            |m| m["features"]["user"][0]["transform"]["standard"]["std"] = json!(0),
            "`mean` must be finite and `std` above 0",
        ),
        (
            |m| m["features"]["item"][3]["transform"]["buckets"] = json!([1, 1]),
            "strictly ascending",
        ),
        (|m| m["features"]["item"][3]["transform"]["buckets"] = json!([]), "one boundary at least"),
        (|m| m["features"]["item"][0]["observed"]["missing"] = json!(1.5), "must be 0 to 1"),
        (|m| m["features"]["request"][1]["column"] = json!("hour"), "it is one or the other"),
        (
            |m| drop(m["features"]["request"][1].as_object_mut().unwrap().remove("derive")),
            "has neither `column` nor `derive`",
        ),
        (
            |m| {
                let hour = m["features"]["request"][1].clone();
                m["features"]["item"].as_array_mut().unwrap().push(hour);
            },
            "only categories of requests are derived",
        ),
        (
            |m| m["graphs"]["unified"]["inputs"][6]["dtype"] = json!("i64"),
            "is i64, but `candidate.given.bid` is f32",
        ),
        (
            |m| m["graphs"]["unified"]["inputs"][3]["source"] = json!("request.feature.age"),
            "there is no feature `age`",
        ),
    ];
    for (change, part) in cases {
        let message = after(change);
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn tasks_have_one_output_each() {
    let message = after(|m| m["tasks"] = json!(["click", "order"]));
    assert!(message.contains("an output of dtype f32 for each of click, order"), "{message}");
    assert!(after(|m| m["tasks"] = json!([])).contains("at `tasks`: must name one"));
    assert!(after(|m| m["tasks"] = json!(["click", "click"])).contains("`click` is there twice"));
    let message = after(|m| m["value"] = json!({ "task": "order" }));
    assert!(message.contains("at `value.task`: there is no task `order`"), "{message}");
    let platt = json!({ "method": "platt", "a": 1, "b": 0 });
    let message = after(|m| m["calibration"]["unified"]["order"] = platt);
    assert!(message.contains("at `calibration.unified.order`: there is no task"), "{message}");
}

#[test]
fn keys_of_one_format_are_refused_in_the_other() {
    let old = BundleCopy::new().edit(|m| m["format"] = json!(2));
    assert!(old.refused().contains("at `calibration."), "one calibration a graph is of format 1");
    let names: BTreeMap<_, _> = BundleCopy::new().open().unwrap().manifest().calibration.clone();
    let tasks: Vec<_> = names.values().flat_map(|tasks| tasks.keys()).collect();
    assert_eq!(tasks, ["click", "click"]);
}
