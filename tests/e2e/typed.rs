//! Numbers, lists, features of the request and of candidates, and two tasks, from a dataset folder to the
//! reply: against probabilities worked out here from the bundle's weights (`fixtures/typed.py`).

use std::path::Path;

use plugrank_contract::{FeatureValue, FeatureValues, Item, User, feature::Number};
use plugrank_dataset::{
    DatasetItem, DatasetMeta, FeatureType, InteractionRow, InteractionWriter, ItemWriter,
    Negatives, Time, UserWriter,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Site, repository};

/// A Sunday, 00:30 in UTC and 01:30 in Berlin, where the bundle reads hours.
pub(crate) const NIGHT: i64 = 1_774_744_200_000;

fn number(number: f64) -> FeatureValue {
    Number::new(number).expect("a number that a feature has").into()
}

fn features(of: &[(&str, FeatureValue)]) -> FeatureValues {
    of.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

pub(crate) fn dataset(folder: &Path) {
    dataset_with(folder, "price");
}

/// The same with another name for the column of prices.
pub(crate) fn dataset_with(folder: &Path, price: &str) {
    let items = [
        (
            "i1",
            features(&[
                ("brand", "acme".into()),
                (price, number(9.5)),
                ("tags", FeatureValue::Texts(["new".into(), "7".into()].into())),
                ("stock", 3.into()),
            ]),
        ),
        (
            "i2",
            features(&[
                ("brand", number(0.1)),
                (price, number(0.25)),
                ("tags", FeatureValue::Numbers([7_i64.into()].into())),
                ("stock", 20.into()),
            ]),
        ),
        ("i3", features(&[("brand", "unheard of".into()), ("stock", 0.into())])),
    ];
    let columns = ["brand", price, "tags", "stock"].map(|name| {
        let types = items
            .iter()
            .filter_map(|(_, features)| features.get(name).map(FeatureType::from_value));
        (name, types.reduce(FeatureType::with).expect("a value"))
    });
    let mut writer = ItemWriter::create(folder, &columns).expect("items can be written");
    for (id, features) in items {
        let item = Item {
            item_id: id.into(),
            title: id.to_owned(),
            text: String::new(),
            categories: Vec::new(),
            created_at: None,
            available: true,
            image_hash: None,
            features,
        };
        writer.write(DatasetItem { item, image: None }).expect("an item can be written");
    }
    writer.finish().expect("items can be written");
    let mut writer =
        UserWriter::create(folder, &[("age", FeatureType::from_value(&55.into()))]).expect("users");
    for (id, features) in [("u1", features(&[("age", 55.into())])), ("u2", FeatureValues::new())] {
        writer.write(User { user_id: id.into(), features }).expect("a user can be written");
    }
    writer.finish().expect("users can be written");
    let mut writer = InteractionWriter::create(folder).expect("interactions can be written");
    for (user, item, timestamp, action, value) in [
        ("u1", "gone", 1_000, None, None),
        ("u1", "lost", 2_000, None, None),
        ("u3", "lost", 3_000, Some("buy".into()), Some(20_i64.into())),
    ] {
        let row = InteractionRow {
            user_id: user.into(),
            item_id: item.into(),
            timestamp,
            clicked: true,
            request_id: None,
            position: None,
            action,
            value,
        };
        writer.write(row).expect("an interaction can be written");
    }
    writer.finish().expect("interactions can be written");
    let meta = DatasetMeta {
        name: "typed".to_owned(),
        time: Time::Ms,
        negatives: Negatives::Logged,
        more: Default::default(),
    };
    meta.write(folder).expect("dataset.json can be written");
}

/// What the bundle's graphs read of an item and a request, as ids and numbers.
struct Row {
    brand: f64,
    tags: f64,
    stock: f64,
    price: f64,
    age: f64,
    clicks: f64,
    device: f64,
    hour: f64,
    temperature: f64,
    bid: f64,
    slot: f64,
}

impl Row {
    /// Probabilities of a click and of a purchase.
    fn probabilities(&self) -> [f64; 2] {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let user = 0.3 * self.age + 0.05 * self.clicks;
        let request = user + 0.1 * self.device + 0.01 * self.hour + 0.1 * self.temperature;
        let item = 0.1 * self.brand + 0.01 * self.tags + 0.2 * self.stock;
        let click = request + item + 0.2 * self.slot + 0.5 * self.bid.ln_1p();
        [sigmoid(1.5 * click - 0.5), sigmoid(click - 0.5 * self.price)]
    }
}

fn near(reply: &Value, item: &str, expected: [f64; 2]) {
    let items = reply["items"].as_array().expect("items");
    let ranked = items.iter().find(|ranked| ranked["item_id"] == item);
    let ranked = ranked.unwrap_or_else(|| panic!("{item} is not in {reply}"));
    for (task, expected) in ["click", "purchase"].into_iter().zip(expected) {
        let found = ranked["scores"][task].as_f64().expect("a probability");
        assert!((found - expected).abs() < 1e-5, "{item}, {task}: {found} and not {expected}");
    }
    assert_eq!(ranked["ctr"], ranked["scores"]["click"]);
}

#[tokio::test]
async fn typed_values_of_every_source_reach_the_model() {
    let folder = TempDir::new().expect("a temporary folder");
    dataset(folder.path());
    let bundle = repository("shared/bundle/tests/fixtures/typed");
    let site = Site::start_on(&bundle, folder.path()).await;
    let reply = site
        .rank(json!({
            "user_id": "u1",
            "candidates": [
                {"item_id": "i1", "features": {"bid": 1.5, "slot": "top"}},
                {"item_id": "i2", "features": {"slot": "nowhere", "unread": [1, 2]}},
                "i3",
            ],
            "context": {
                "timestamp": NIGHT,
                "features": {"device": "desktop", "temperature": -4, "unread": "x"},
            },
        }))
        .await;
    assert_eq!((&reply["rung"], &reply["degraded"]), (&json!("full"), &json!([])));
    // Hour 1 is the vocabulary's second value.
    let request = || Row {
        age: 1.5,
        clicks: 2.0,
        device: 3.0,
        hour: 3.0,
        temperature: -4.0,
        brand: 0.0,
        tags: 0.0,
        stock: 0.0,
        price: 0.0,
        bid: 0.0,
        slot: 0.0,
    };
    let first = Row {
        brand: 2.0,
        tags: 6.0,
        stock: 2.0,
        price: 10.5_f64.ln(),
        bid: 1.5,
        slot: 2.0,
        ..request()
    };
    let second =
        Row { brand: 4.0, tags: 4.0, stock: 3.0, price: 1.25_f64.ln(), slot: 1.0, ..request() };
    let third = Row { brand: 1.0, stock: 1.0, price: -1.0, ..request() };
    near(&reply, "i1", first.probabilities());
    near(&reply, "i2", second.probabilities());
    near(&reply, "i3", third.probabilities());

    // User features of a request apply to this request only, also for an unknown user.
    let asked = |user: &str, features: Value| {
        json!({
            "user_id": user, "candidates": ["i3"], "user": {"features": features},
            "context": {"timestamp": NIGHT},
        })
    };
    let nothing = || Row { device: 0.0, temperature: 0.0, ..request() };
    let third = |age: f64, clicks: f64| {
        Row { brand: 1.0, stock: 1.0, price: -1.0, age, clicks, ..nothing() }.probabilities()
    };
    near(&site.rank(asked("u1", json!({"age": 20}))).await, "i3", third(-2.0, 2.0));
    near(&site.rank(asked("u1", json!({}))).await, "i3", third(1.5, 2.0));
    near(&site.rank(asked("new", json!({"age": 50}))).await, "i3", third(1.0, 0.0));

    // An item that was written: whole numbers and flags are looked up by their text.
    for (brand, id) in
        [(json!(9_007_199_254_740_993_i64), 3.0), (json!(true), 5.0), (json!(0.1), 4.0)]
    {
        let content = json!({
            "title": "New",
            "created_at": 1,
            "features": {"brand": brand, "price": 3, "tags": ["blue", "blue", "blue", "new"]},
        });
        let (status, item) = site.put_json("/v1/items/i4", &content).await;
        assert!(status < 300, "{item}");
        assert_eq!(item["features"]["price"], json!(3));
        let reply = site
            .rank(json!({"user_id": "u2", "candidates": ["i4"], "context": {"timestamp": NIGHT}}));
        let written =
            Row { brand: id, tags: 9.0, price: 4_f64.ln(), age: 0.0, clicks: 0.0, ..nothing() };
        near(&reply.await, "i4", written.probabilities());
    }
}

#[tokio::test]
async fn action_and_value_of_history_entries_reach_both_models() {
    let folder = TempDir::new().expect("a temporary folder");
    dataset(folder.path());
    let bundle = repository("shared/bundle/tests/fixtures/typed");
    let buy = "events.types.buy = { weight = 4.0, positive = true }";
    let site = Site::start_on_with(&bundle, folder.path(), buy).await;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    // Ids of the bundle's actions are 2 for a click and 3 for a purchase; values go by their logarithm.
    let acts = |of: &[(f64, f64)]| -> f64 {
        of.iter().map(|(action, value)| 0.1 * action + value.ln_1p()).sum()
    };
    let ask = |user: &str, rung: Option<&str>| {
        json!({
            "user_id": user, "candidates": ["i3"], "rung": rung,
            "context": {"timestamp": NIGHT},
        })
    };
    let expected = |clicks: f64, acts: f64, rung: Option<&str>| match rung {
        // Hour 1 is the third row of its table; the item has an unknown brand, no price, and stock 0.
        None => {
            let click = 0.05 * clicks + 0.2 * acts + 0.03 + 0.1 + 0.2;
            [sigmoid(1.5 * click - 0.5), sigmoid(click + 0.5)]
        }
        Some(_) => {
            let click = 0.2 * acts + 0.1;
            // Of a purchase the logit is 1 less, on the calibration's first piece.
            [sigmoid(click), 0.1 + 0.2 * click]
        }
    };
    for rung in [None, Some("idrec")] {
        let mut body = ask("visitor", rung);
        body["user"] = json!({"recent": [
            {"item_id": "i1", "type": "buy", "value": 9.5},
            {"item_id": "i2"},
            {"item_id": "i2", "type": "impression", "value": 1},
        ]});
        let told = acts(&[(3.0, 9.5), (2.0, 0.0), (1.0, 1.0)]);
        near(&site.rank(body).await, "i3", expected(2.0, told, rung));
    }
    // The same from the log of events: a purchase takes the place of the click that led to it.
    let event = |id: &str, kind: &str, value: Option<f64>| {
        json!({
            "event_id": id, "type": kind, "user_id": "u7", "item_id": "i1", "request_id": "r",
            "value": value, "timestamp": NIGHT - 60_000,
        })
    };
    let events = json!({"events": [event("1", "click", None), event("2", "buy", Some(9.5))]});
    let (status, answer) = site.post_json("/v1/events", &events).await;
    assert_eq!(status, 202, "{answer}");
    let told = acts(&[(3.0, 9.5)]);
    near(&site.rank(ask("u7", None)).await, "i3", expected(1.0, told, None));
    let (_, user) = site.get("/v1/users/u7").await;
    let entry = &user["history"][0];
    assert_eq!((&entry["action"], &entry["value"]), (&json!("buy"), &json!(9.5)), "{user}");
    // The same for an interaction that was loaded.
    near(&site.rank(ask("u3", None)).await, "i3", expected(1.0, acts(&[(3.0, 20.0)]), None));
}

#[tokio::test]
async fn values_of_the_wrong_type_are_named() {
    let folder = TempDir::new().expect("a temporary folder");
    dataset(folder.path());
    let bundle = repository("shared/bundle/tests/fixtures/typed");
    let site = Site::start_on(&bundle, folder.path()).await;
    for (more, field) in [
        (json!({"context": {"features": {"temperature": "warm"}}}), "context.features.temperature"),
        (json!({"user": {"features": {"age": "55"}}}), "user.features.age"),
        (
            json!({"candidates": ["i1", {"item_id": "i2", "features": {"bid": ["1"]}}]}),
            "candidates[1].features.bid",
        ),
        (
            json!({"candidates": ["i1", {"item_id": "i2", "features": {"bid": 1e39}}]}),
            "candidates[1].features.bid",
        ),
        (json!({"candidates": [{"item_id": "i2", "feature": {}}]}), "candidates[0].feature"),
        (json!({"candidates": [{"features": {}}]}), "candidates[0].item_id"),
        (json!({"candidates": [7]}), "candidates[0]"),
    ] {
        let mut body = json!({"user_id": "u1", "candidates": ["i1"]});
        let (body_map, more) = (body.as_object_mut().expect("an object"), more.as_object());
        body_map.extend(more.expect("an object").clone());
        let (status, problem) = site.post_json("/v1/rank", &body).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{body} -> {problem}");
    }
    for price in [json!("dear"), json!(["9.5"])] {
        let content = json!({"title": "New", "features": {"price": price}});
        let (status, problem) = site.put_json("/v1/items/i4", &content).await;
        assert_eq!((status, &problem["field"]), (400, &json!("features.price")), "{problem}");
        assert_eq!(site.get("/v1/items/i4").await.0, 404, "nothing was written");
    }
}
