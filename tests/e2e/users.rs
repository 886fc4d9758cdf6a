//! Users over the API: written, changed, read, and deleted without a trace.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Site, plugrank, settings, stderr};

/// No other bytes of the store are these.
const WHO: &str = "user-who-wants-to-be-forgotten";

async fn call(site: &Site, method: Method, body: &Value) -> u16 {
    let request = site.http.request(method, site.url(&format!("/v1/users/{WHO}"))).json(body);
    request.send().await.expect("an answer").status().as_u16()
}

fn holds(folder: &TempDir, text: &str) -> bool {
    let bytes = fs::read(folder.path().join("store.redb")).expect("the store's file");
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_deleted_user_leaves_no_byte_in_the_store() {
    let site = Site::start().await;
    let path = format!("/v1/users/{WHO}");
    assert_eq!(site.get(&path).await.0, 404);
    let before = site.rank_for(WHO, 20).await;
    assert_eq!(
        call(&site, Method::PUT, &json!({"features": {"age_band": "25-34", "x": 1}})).await,
        204
    );
    assert_eq!(
        call(&site, Method::PATCH, &json!({"features": {"x": null, "region": "north"}})).await,
        204
    );
    let (_, user) = site.get(&path).await;
    assert_eq!(user["features"], json!({"age_band": "25-34", "region": "north"}), "{user}");
    let clicks: Vec<Value> = (1..=5)
        .map(|n| json!({"event_id": n.to_string(), "type": "click", "user_id": WHO, "item_id": format!("i{n}")}))
        .collect();
    assert_eq!(site.post_json("/v1/events", &json!({"events": clicks})).await.0, 202);
    let after = site.rank_for(WHO, 20).await;
    assert_ne!(before, after, "a profile counts from the next request on");
    let (_, user) = site.get(&path).await;
    assert_eq!(user["history"].as_array().map(Vec::len), Some(5), "{user}");

    assert_eq!(call(&site, Method::DELETE, &json!({})).await, 204);
    assert_eq!(site.get(&path).await.0, 404);
    // The same event again is new: its id was deleted too.
    let again = json!({"events": [{"event_id": "1", "type": "click", "user_id": "stays", "item_id": "i1"}]});
    assert_eq!(site.post_json("/v1/events", &again).await.0, 202);
    let folder = site.stopped();
    let config = settings(folder.path(), 0, "");
    let output = plugrank(&["store", "compact", "--config"]).arg(&config).output();
    let output = output.expect("plugrank can be started");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(holds(&folder, "stays") && holds(&folder, "u500"));
    assert!(!holds(&folder, WHO));
}
