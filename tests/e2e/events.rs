//! Events: durable before the answer, counted once, read by the next request.

use serde_json::{Value, json};

use super::site::{Site, ids};

fn click(event_id: &str, user: &str, item: &str) -> Value {
    json!({"event_id": event_id, "type": "click", "user_id": user, "item_id": item})
}

#[tokio::test]
async fn a_click_changes_the_next_ranking() {
    let site = Site::start().await;
    let user = "fresh-user";
    let before = site.rank_for(user, 20).await;
    let clicked = ids(&before)[0].to_owned();
    let events = json!({"events": [click("e1", user, &clicked)]});
    let (status, reply) = site.post_json("/v1/events", &events).await;
    assert_eq!(status, 202, "{reply}");
    let after = site.rank_for(user, 20).await;
    assert!(!ids(&after).contains(&clicked.as_str()), "a clicked item counts as seen");
    let shared = |items: &[Value]| -> Vec<(String, f64)> {
        let pair = |item: &Value| {
            (item["item_id"].as_str().unwrap().to_owned(), item["ctr"].as_f64().unwrap())
        };
        items.iter().map(pair).collect()
    };
    let (before, after) = (shared(&before), shared(&after));
    let moved = before.iter().filter(|(id, ctr)| {
        after.iter().any(|(other, changed)| other == id && (ctr - changed).abs() > 1e-6)
    });
    assert!(moved.count() > 0 || before.len() != after.len(), "the click changed no probability");
}

#[tokio::test]
async fn an_event_counts_once() {
    let site = Site::start().await;
    let events = json!({"events": [click("e1", "twice", "i7"), click("e2", "twice", "i8")]});
    let (status, reply) = site.post_json("/v1/events", &events).await;
    let told = |reply: &Value| {
        reply["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["status"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((status, told(&reply)), (202, vec![json!("accepted"); 2]), "{reply}");
    let (status, reply) = site.post_json("/v1/events", &events).await;
    assert_eq!((status, told(&reply)), (202, vec![json!("repeat"); 2]), "{reply}");
    let (_, user) = site.get("/v1/users/twice").await;
    assert_eq!(user["history"].as_array().unwrap().len(), 2, "{user}");
}

#[tokio::test]
async fn an_acknowledged_event_survives_a_crash() {
    let site = Site::start().await;
    let events: Vec<Value> =
        (0..50).map(|n| click(&format!("e{n}"), "survivor", &format!("i{}", n + 1))).collect();
    let (status, _) = site.post_json("/v1/events", &json!({"events": events})).await;
    assert_eq!(status, 202);
    let site = site.crash_and_restart().await;
    let (_, user) = site.get("/v1/users/survivor").await;
    assert_eq!(user["history"].as_array().unwrap().len(), 50, "{user}");
    let items = site.rank_for("survivor", 20).await;
    assert_eq!(items.len(), 20);
}
