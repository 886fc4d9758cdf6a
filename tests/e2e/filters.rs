//! Filters: k items come back whenever k items match.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::site::{Site, ids};

/// Items of the shipped shop.
const ITEMS: usize = 1500;

#[tokio::test]
async fn k_items_are_returned_at_every_filter_selectivity() {
    let site = Site::start().await;
    let k = 20;
    for parts in [2, 20, 200, ITEMS] {
        let matching: Vec<String> = (1..=ITEMS)
            .filter(|n| (n * 7919) % ITEMS < ITEMS / parts)
            .map(|n| format!("i{n}"))
            .collect();
        let filter = json!({"must": [{"field": "item_id", "any": matching}]});
        for user in ["u1", "u7", "nobody"] {
            let reply = site.rank(json!({"user_id": user, "k": k, "filter": filter})).await;
            let found = ids(reply["items"].as_array().unwrap());
            let distinct: HashSet<&str> = found.iter().copied().collect();
            let allowed: HashSet<&str> = matching.iter().map(String::as_str).collect();
            assert!(distinct.is_subset(&allowed), "{user} of {parts}: {found:?}");
            // What the user clicked is not shown again.
            let (_, about) = site.get(&format!("/v1/users/{user}?clicks=1000&impressions=0")).await;
            let clicked = about["history"].as_array().into_iter().flatten();
            let clicked: HashSet<&str> =
                clicked.filter_map(|entry| entry["item_id"].as_str()).collect();
            let left = allowed.difference(&clicked).count();
            assert_eq!(distinct.len(), left.min(k), "{user}, one of {parts}");
        }
    }
    for (field, pointer) in [("prise", "/filter/must/0/field"), ("brand", "/filter/must/0")] {
        let filter = json!({"must": [{"field": field, "lt": 5}]});
        let (status, problem) =
            site.post_json("/v1/rank", &json!({"user_id": "u1", "filter": filter})).await;
        assert_eq!(status, 400, "{problem}");
        let found = problem["errors"][0]["pointer"].as_str().unwrap();
        assert!(found.starts_with(pointer), "{problem}");
    }
}

/// The metric of encoded items.
async fn encoded(site: &Site) -> f64 {
    let (_, metrics) = site.get("/metrics").await;
    let Value::String(text) = metrics else { panic!("{metrics}") };
    let lines = text.lines().filter(|line| line.starts_with("plugrank_"));
    let counts = lines.filter(|line| line.contains("items_encoded_total"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn a_price_change_encodes_nothing() {
    let site = Site::start().await;
    let patch = |change: Value| {
        let request = site.http.patch(site.url("/v1/items/i3")).json(&change);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(patch(json!({"features": {"price": 1.0, "stock": 5}})).await, 200);
    let before = encoded(&site).await;
    let mut times = Vec::new();
    for price in 0..20 {
        let begun = std::time::Instant::now();
        assert_eq!(patch(json!({"features": {"price": f64::from(price) + 0.5}})).await, 200);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("a change of a price takes {:.1} ms at the median", times[times.len() / 2]);
    let filter = json!({"must": [{"field": "price", "gte": 19}]});
    let reply = site.rank(json!({"user_id": "nobody", "k": 5, "filter": filter})).await;
    assert_eq!(ids(reply["items"].as_array().unwrap()), ["i3"]);
    assert_eq!(encoded(&site).await, before, "no encoder reads a price");
    assert_eq!(patch(json!({"title": "Another name"})).await, 200);
    assert_eq!(encoded(&site).await, before + 1.0);
}
