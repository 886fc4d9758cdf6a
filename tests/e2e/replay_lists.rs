//! Replay of requests that were logged in full reproduces the served lists.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Site, plugrank, settings, stderr};

/// Rules that use randomness, similarity and columns.
const RULES: &str = r#"
exposures.full_share = 1.0
surfaces.home.rules = [
  { rule = "boost", filter.must = [{ field = "categories", any = ["garden", "textiles"] }], factor = 1.5 },
  { rule = "cap", column = "brand", max = 2, window = 5 },
  { rule = "min_share", filter.must = [{ field = "categories", any = ["lighting"] }], min = 1, window = 6 },
  { rule = "exploration", share = 0.3, max_impressions = 1000000, draw = "thompson" },
]
"#;
/// Lists; `PLUGRANK_REPLAYED_LISTS` asks for more.
const LISTS: usize = 120;

#[tokio::test]
async fn replaying_lists_logged_in_full_reproduces_them() {
    let asked = std::env::var("PLUGRANK_REPLAYED_LISTS").ok().and_then(|text| text.parse().ok());
    let lists = asked.unwrap_or(LISTS);
    let site = Site::start_with(RULES).await;
    for n in 0..lists {
        let k = [5, 20, 50][n % 3];
        let mut body = json!({"user_id": format!("u{}", n % 300 + 1), "k": k});
        match n % 4 {
            1 | 2 => body["surface"] = json!("home"),
            3 => body["filter"] = json!({"must_not": [{"field": "categories", "any": ["bags"]}]}),
            _ => {}
        }
        site.rank(body).await;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let out = folder.path().join("out");
    let mut export = plugrank(&["export", "--url", &site.url(""), "--out"]);
    let output = export.arg(&out).output().expect("plugrank can be started");
    assert!(output.status.success(), "{}", stderr(&output));
    let replay = |more: &str| {
        let config = settings(folder.path(), 0, more);
        let mut replay = plugrank(&["replay", "--json", "--lists"]);
        replay.arg(out.join("exposures.parquet")).arg("--config").arg(config);
        let output = replay.output().expect("plugrank can be started");
        let found: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
        (output.status.success(), found)
    };
    let (same, found) = replay(RULES);
    println!("{found}");
    assert!(same, "{found}");
    assert_eq!((&found["lists"], &found["same"]), (&json!(lists), &json!(lists)));
    let (same, found) = replay(&RULES.replace("max = 2, window = 5", "max = 1, window = 9"));
    assert!(!same, "under another rule other lists come out: {found}");
    let (kept, half) = (found["same"].as_u64().expect("a count"), lists as u64 / 2);
    assert!(
        (half / 2..lists as u64).contains(&kept),
        "the lists of no surface are as before: {found}"
    );
}

/// A surface whose places go to any of twelve candidates now and then.
const EXPLORING: &str = r#"
exposures.full_share = 1.0
surfaces.home.candidates = 12
surfaces.home.rules = [
  { rule = "exploration", share = 0.5, max_impressions = 1000000 },
]
"#;

/// Another model is estimated from the log of an export: the one that made it is worth what was logged, and the
/// ID-based one is another. Without exploration there is nothing to say.
#[tokio::test]
async fn another_model_is_estimated_from_the_log() {
    let site = Site::start_with(EXPLORING).await;
    let mut model = Value::Null;
    for n in 0..240 {
        let user = format!("u{}", n % 120 + 1);
        let reply = site.rank(json!({"user_id": user, "k": 6, "surface": "home"})).await;
        model = reply["model"].clone();
        let request = reply["request_id"].as_str().expect("an id");
        let event = |item: &Value, kind: &str| {
            let id = format!("{request}-{}-{kind}", item["item_id"].as_str().expect("an id"));
            json!({
                "event_id": id, "type": kind, "user_id": user, "item_id": item["item_id"],
                "request_id": reply["request_id"],
            })
        };
        let items = reply["items"].as_array().expect("items");
        let mut events: Vec<Value> = items.iter().map(|item| event(item, "impression")).collect();
        // Clicks are a deterministic function of item and user.
        let clicked = |item: &&Value| {
            item["item_id"].as_str().expect("an id").bytes().map(usize::from).sum::<usize>() % 4
                == n % 4
        };
        events.extend(items.iter().filter(clicked).map(|item| event(item, "click")));
        let (status, _) = site.post_json("/v1/events", &json!({ "events": events })).await;
        assert_eq!(status, 202);
    }
    let folder = TempDir::new().expect("a temporary folder");
    let out = folder.path().join("out");
    let mut export = plugrank(&["export", "--url", &site.url(""), "--out"]);
    let output = export.arg(&out).output().expect("plugrank can be started");
    assert!(output.status.success(), "{}", stderr(&output));
    let replay = |more: &[&str]| {
        let config = settings(folder.path(), 0, EXPLORING);
        let url = site.url("");
        let model = model.as_str().expect("a version");
        let mut replay = plugrank(&["replay", "--json", "--model", model, "--url", &url]);
        replay.arg(&out).arg("--config").arg(config).args(more);
        replay.output().expect("plugrank can be started")
    };
    let output = replay(&[]);
    let same: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    println!("{same}");
    assert_eq!((&same["lists"], &same["certain"]), (&json!(240), &json!(240)), "{same}");
    assert_eq!(same["decisions"], json!(1_200.0));
    let value = |found: &Value, what: &str| found[what]["value"].as_f64().expect("a value");
    let apart = value(&same, "inverse_propensity") - value(&same, "logged");
    // What the model reads of items may have changed a little since.
    assert!(apart.abs() < 0.03, "the model that made the log: {same}");
    assert!(same["effective"].as_f64().expect("a number") > 1_000.0, "{same}");
    let output = replay(&["--rung", "idrec"]);
    let other: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    println!("{other}");
    let worth = other["effective"].as_f64().expect("a number");
    assert!((100.0..1_100.0).contains(&worth), "it chooses otherwise: {other}");
    let spread = other["doubly_robust"]["standard_error"].as_f64().expect("a number");
    assert!(spread > 0.0 && spread < 0.1, "{other}");
    let unknown = replay(&["--task", "purchase"]);
    assert!(stderr(&unknown).contains("no column label_purchase"), "{}", stderr(&unknown));
}
