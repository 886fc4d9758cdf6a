//! Requests logged in full are re-ranked again, and come out as they were served.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Site, plugrank, settings, stderr};

/// Rules of every kind that go by chance, similarity and columns.
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
async fn lists_that_were_logged_in_full_come_out_again() {
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
