//! Surfaces, pages, batches, similar items, and users without a stored profile or history.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::site::{Site, ids};

const SURFACES: &str = r#"
surfaces.home.k = 7
surfaces.home.filter.must_not = [{ field = "categories", any = ["bags"] }]
surfaces.similar.sources = { ann = 1.0 }
surfaces.similar.filter.must = [{ field = "not_there_yet", any = ["x"] }]
"#;

fn names(reply: &Value) -> Vec<&str> {
    ids(reply["items"].as_array().unwrap())
}

#[tokio::test]
async fn a_surface_sets_filter_sources_and_length() {
    let site = Site::start_with(SURFACES).await;
    let plain = site.rank(json!({"user_id": "u1", "k": 100})).await;
    assert!(of_bags(&site, &names(&plain)).await > 0, "the test would show nothing");
    let home = site.rank(json!({"user_id": "u1", "surface": "home"})).await;
    assert_eq!((home["surface"].as_str(), names(&home).len()), (Some("home"), 7));
    let more = site.rank(json!({"user_id": "u1", "surface": "home", "k": 100})).await;
    assert_eq!(of_bags(&site, &names(&more)).await, 0);
    let none = site.rank(json!({"user_id": "u1", "surface": "similar"})).await;
    assert_eq!(names(&none).len(), 0, "no item has a value in a column that is not there");
    let (status, problem) =
        site.post_json("/v1/rank", &json!({"user_id": "u1", "surface": "hom"})).await;
    assert_eq!((status, &problem["field"]), (400, &json!("surface")), "{problem}");
    let (status, problem) = site
        .post_json(
            "/v1/rank",
            &json!({"user_id": "u1", "filter": {"must": [{"field": "prise", "lt": 5}]}}),
        )
        .await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(problem["errors"][0]["pointer"], "/filter/must/0/field");
}

async fn of_bags(site: &Site, ids: &[&str]) -> usize {
    let mut count = 0;
    for id in ids {
        let (_, item) = site.get(&format!("/v1/items/{id}")).await;
        let categories = item["categories"].as_array().unwrap();
        count += usize::from(categories.contains(&json!("bags")));
    }
    count
}

#[tokio::test]
async fn pages_never_repeat_items_up_to_the_end() {
    let site = Site::start().await;
    let mut body = json!({"user_id": "u1", "k": 50});
    let mut met: HashSet<String> = HashSet::new();
    for page in 0..40 {
        let reply = site.rank(body.clone()).await;
        for (place, item) in reply["items"].as_array().unwrap().iter().enumerate() {
            assert_eq!(item["rank"], json!(page * 50 + place + 1));
            let id = item["item_id"].as_str().unwrap().to_owned();
            assert!(met.insert(id.clone()), "page {page} repeats {id}");
        }
        match reply.get("cursor") {
            Some(cursor) => body["cursor"] = cursor.clone(),
            None => return assert!(met.len() > 200, "only {} items on all pages", met.len()),
        }
    }
    assert_eq!(met.len(), 2_000);
}

#[tokio::test]
async fn a_batch_ranks_for_many_users() {
    let site = Site::start().await;
    let requests: Vec<Value> =
        (1..=100).map(|n| json!({"user_id": format!("u{n}"), "k": 3})).collect();
    let (status, reply) = site.post_json("/v1/rank/batch", &json!({ "requests": requests })).await;
    assert_eq!(status, 200, "{reply}");
    for (n, result) in reply["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!(result["status"], 200, "{result}");
        let alone = site.rank(requests[n].clone()).await;
        assert_eq!(names(&result["ranking"]).len(), names(&alone).len());
        if n == 4 {
            break;
        }
    }
}

#[tokio::test]
async fn similar_items_are_of_the_same_kind() {
    let site = Site::start().await;
    let (status, reply) = site.get("/v1/items/i1/similar?k=5").await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(names(&reply).len(), 5);
    assert!(!names(&reply).contains(&"i1"));
    let similarity: Vec<f64> = reply["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["similarity"].as_f64().unwrap())
        .collect();
    assert!(similarity.is_sorted_by(|a, b| a >= b), "{similarity:?}");
    let (status, _) = site.get("/v1/items/no-such-item/similar").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn events_of_the_request_personalise_an_unknown_user() {
    let site = Site::start().await;
    let (_, known) = site.get("/v1/users/u5").await;
    let history = known["history"].as_array().unwrap();
    let recent: Vec<Value> = history
        .iter()
        .map(|entry| {
            let kind = if entry["clicked"] == json!(true) { "click" } else { "impression" };
            json!({"item_id": entry["item_id"], "type": kind, "timestamp": entry["timestamp"]})
        })
        .collect();
    let ask = |user: &str, recent: Option<&Vec<Value>>| {
        let mut body = json!({"user_id": user, "k": 20});
        body["context"] = json!({"timestamp": history[0]["timestamp"].as_i64().unwrap() + 1});
        if let Some(recent) = recent {
            body["user"] = json!({"recent": recent});
        }
        body
    };
    let nobody = site.rank(ask("nobody", None)).await;
    let stranger = site.rank(ask("nobody", Some(&recent))).await;
    assert_eq!(stranger["degraded"], json!([]), "{stranger}");
    assert_ne!(names(&nobody), names(&stranger), "the history counts");
    assert!(stranger["coverage"]["history"].as_u64().unwrap() > 0, "{stranger}");
    let candidates: Vec<String> = (1..40).map(|n| format!("i{n}")).collect();
    let mut given = ask("nobody", Some(&recent));
    given["candidates"] = json!(candidates);
    let reply = site.rank(given).await;
    assert!(reply["coverage"]["history"].as_u64().unwrap() > 0, "also for the caller's candidates");
}

#[tokio::test]
async fn a_cart_gets_items_similar_to_its_content() {
    let site = Site::start_with("surfaces.cart.sources = { ann = 1.0 }").await;
    let (_, near) = site.get("/v1/items/i1/similar?k=50").await;
    let near: HashSet<&str> = names(&near).into_iter().collect();
    let body = json!({
        "user_id": "nobody", "surface": "cart", "k": 50, "context": {"items": ["i1"]},
    });
    let reply = site.rank(body).await;
    let named = reply["items"].as_array().unwrap();
    let by_ann = named.iter().filter(|item| item["sources"] == json!(["ann"]));
    let by_ann: Vec<&str> = by_ann.map(|item| item["item_id"].as_str().unwrap()).collect();
    assert!(by_ann.len() >= 40, "{reply}");
    assert!(!names(&reply).contains(&"i1"), "it is in the cart already");
    assert!(by_ann.iter().any(|id| near.contains(id)), "{by_ann:?}");
}

const RULES: &str = r#"
reranking.exploration_share = 0.0
reranking.lambda = 1.0
reranking.category_cap = 0
surfaces.home.rules = [
  { rule = "cap", column = "brand", max = 1, window = 3 },
  { rule = "boost", filter.must = [{ field = "material", any = ["steel"] }], factor = 1.3 },
  { rule = "pin", filter.must = [{ field = "categories", any = ["bags"] }], place = 4 },
]
surfaces.explore.rules = [{ rule = "exploration", share = 0.5, max_impressions = 1000000, draw = "thompson" }]
"#;

#[tokio::test]
async fn rules_of_a_surface_hold_and_are_in_explain() {
    let site = Site::start_with(RULES).await;
    let body = json!({"user_id": "u1", "surface": "home", "k": 20, "explain": true});
    let reply = site.rank(body).await;
    let ids = names(&reply);
    let mut brands: Vec<Value> = Vec::new();
    for id in &ids {
        let (_, item) = site.get(&format!("/v1/items/{id}")).await;
        brands.push(item["features"]["brand"].clone());
    }
    let placements = reply["explain"]["placements"].as_array().unwrap();
    for (at, window) in brands.windows(3).enumerate() {
        let relaxed = placements[at..at + 3].iter().any(|one| one["placement"] == "cap_relaxed");
        let distinct: HashSet<String> = window.iter().map(Value::to_string).collect();
        assert!(relaxed || distinct.len() == 3 || window.contains(&Value::Null), "{window:?}");
    }
    assert_eq!(placements[3]["placement"], "pin", "{placements:?}");
    let moved = placements.iter().flat_map(|one| one["moves"].as_array().into_iter().flatten());
    let by: HashSet<&str> = moved.map(|one| one["rule"].as_str().unwrap()).collect();
    assert!(by.contains("cap") && by.contains("pin"), "{by:?}");
    assert!(placements[0]["without_ppm"]["ctr"].is_number(), "{}", placements[0]);
    for place in placements {
        let last = place["moves"].as_array().and_then(|moves| moves.last());
        let rank = placements.iter().position(|one| one == place).unwrap() + 1;
        assert!(
            last.is_none_or(|last| last["to"] == json!(rank)),
            "moves lead to the place: {place}"
        );
    }
}

#[tokio::test]
async fn explored_items_report_their_propensity() {
    let site = Site::start_with(RULES).await;
    let mut explored = 0;
    for user in 1..=20 {
        let body = json!({"user_id": format!("u{user}"), "surface": "explore", "explain": true, "budget_ms": 5000});
        let reply = site.rank(body).await;
        let items = reply["items"].as_array().unwrap();
        assert_eq!(items[0]["propensity"], 1.0, "the first place does not explore: {reply}");
        let places = reply["explain"]["placements"].as_array().unwrap();
        for (item, place) in items.iter().zip(places) {
            let chance = item["propensity"].as_f64().unwrap();
            assert!(chance > 0.0 && chance <= 1.0, "{item}");
            explored += usize::from(place["placement"] == "explored");
        }
    }
    assert!((120..280).contains(&explored), "{explored} of 400 places, half of which explore");
}
