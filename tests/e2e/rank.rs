//! Ranked answers.

use std::collections::HashSet;

use serde_json::json;

use super::site::{Site, ids};

#[tokio::test]
async fn every_user_gets_a_list_of_their_own() {
    let site = Site::start().await;
    let mut lists = HashSet::new();
    for user in 1..=20 {
        let items = site.rank_for(&format!("u{user}"), 20).await;
        let ids: Vec<String> = ids(&items).into_iter().map(str::to_owned).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 20, "u{user}: {ids:?}");
        let scores: Vec<f64> = items.iter().map(|item| item["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "u{user}: {scores:?}");
        for item in &items {
            let ctr = item["ctr"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&ctr), "{item}");
        }
        lists.insert(ids);
    }
    assert!(lists.len() > 15, "only {} different lists for 20 users", lists.len());
}

#[tokio::test]
async fn every_ranked_item_can_be_looked_up() {
    let site = Site::start().await;
    for id in ids(&site.rank_for("u3", 20).await) {
        let (status, item) = site.get(&format!("/v1/items/{id}")).await;
        assert_eq!(status, 200, "{item}");
        assert!(!item["title"].as_str().unwrap().is_empty(), "{item}");
    }
    let (status, problem) = site.get("/v1/items/no-such-item").await;
    assert_eq!((status, &problem["status"]), (404, &json!(404)), "{problem}");
}

#[tokio::test]
async fn an_unknown_user_gets_a_ranking() {
    let site = Site::start().await;
    let reply = site.rank(json!({"user_id": "nobody-yet", "k": 10})).await;
    assert_eq!(reply["items"].as_array().unwrap().len(), 10, "{reply}");
    assert_eq!(reply["degraded"], json!([]), "{reply}");
}

#[tokio::test]
async fn an_unknown_candidate_is_left_out_and_counted() {
    let site = Site::start().await;
    let candidates = ["i1", "no-such-item", "i2", "i3", "i2"];
    let reply = site.rank(json!({"user_id": "u1", "k": 10, "candidates": candidates})).await;
    let items = reply["items"].as_array().unwrap();
    let mut ids = ids(items);
    ids.sort_unstable();
    assert_eq!(ids, ["i1", "i2", "i3"]);
    assert_eq!(reply["coverage"]["unknown"], json!(1), "{reply}");
}

#[tokio::test]
async fn excluded_and_clicked_items_are_not_ranked() {
    let site = Site::start().await;
    let before = site.rank_for("u5", 20).await;
    let unwanted = ids(&before)[..5].to_vec();
    let body = json!({"user_id": "u5", "k": 20, "exclude": unwanted, "explain": true});
    let reply = site.rank(body).await;
    let after: HashSet<&str> = ids(reply["items"].as_array().unwrap()).into_iter().collect();
    assert!(unwanted.iter().all(|id| !after.contains(id)));
    let (_, user) = site.get("/v1/users/u5").await;
    let history = user["history"].as_array().expect("a history");
    let clicked: Vec<&str> = history
        .iter()
        .filter(|entry| entry["clicked"] == json!(true))
        .map(|entry| entry["item_id"].as_str().unwrap())
        .collect();
    assert!(!clicked.is_empty(), "{user}");
    assert!(clicked.iter().all(|id| !after.contains(id)), "a clicked item was shown again");
}

#[tokio::test]
async fn the_reply_reports_stages_and_timing() {
    let site = Site::start().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request_id = "018f3f2e-7b1a-7c3d-9e4f-5a6b7c8d9e0f";
    let response = site
        .post("/v1/rank")
        .header("traceparent", traceparent)
        .header("x-request-id", request_id)
        .json(&json!({"user_id": "u1", "k": 5, "budget_ms": 5000}))
        .send()
        .await
        .unwrap();
    let headers = response.headers().clone();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-request-id"), request_id);
    assert!(header("traceparent").contains("0af7651916cd43dd8448eb211c80319c"));
    let timing = header("server-timing");
    let reply: serde_json::Value = response.json().await.unwrap();
    assert_eq!(reply["request_id"], request_id);
    assert_eq!(reply["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert!(reply["model"].as_str().unwrap().starts_with("simshop"), "{reply}");
    assert_eq!(reply["budget"]["total_ms"], json!(5000.0));
    let stages = reply["budget"]["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["retrieval", "scoring", "reranking"]);
    for stage in stages {
        assert!(timing.contains(stage["stage"].as_str().unwrap()), "{timing}");
        assert!(stage["spent_ms"].as_f64().unwrap() <= stage["allotted_ms"].as_f64().unwrap());
        assert_eq!(stage["outcome"], "completed");
    }
}

#[tokio::test]
async fn equal_requests_have_equal_answers() {
    let site = Site::start().await;
    let ask = || {
        let body =
            json!({"user_id": "u9", "k": 20, "context": {"timestamp": 4_000_000_000_000_i64}});
        let request_id = "018f3f2e-7b1a-7c3d-9e4f-5a6b7c8d9e0f";
        site.post("/v1/rank").header("x-request-id", request_id).json(&body).send()
    };
    let first: serde_json::Value = ask().await.unwrap().json().await.unwrap();
    let second: serde_json::Value = ask().await.unwrap().json().await.unwrap();
    assert_eq!(first["items"], second["items"]);
}

#[tokio::test]
async fn a_request_can_override_rung_and_diversity() {
    let site = Site::start().await;
    let ask = |more: serde_json::Value| {
        let mut body =
            json!({"user_id": "u9", "k": 20, "context": {"timestamp": 4_000_000_000_000_i64}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        site.rank(body)
    };
    let whole = ask(json!({})).await;
    let idrec = ask(json!({"rung": "idrec"})).await;
    assert_eq!(idrec["rung"], "idrec");
    assert_eq!(idrec["degraded"][0]["cause"], "asked");
    assert_eq!(idrec["coverage"]["candidates"], whole["coverage"]["candidates"]);
    assert_ne!(idrec["items"], whole["items"]);
    let named = ask(json!({"model": whole["model"], "diversity": 0.0})).await;
    assert_eq!(named["degraded"], json!([]));
    assert_ne!(named["items"], whole["items"], "diversity is 0.2 by the settings");

    let wrong = json!({"user_id": "u9", "model": "none"});
    let (status, problem) = site.post_json("/v1/rank", &wrong).await;
    assert_eq!(status, 400);
    assert!(problem["detail"].as_str().unwrap().contains("ready: simshop"), "{problem}");
    let wrong = json!({"user_id": "u9", "rung": "lowest", "diversity": 1.5});
    let (_, problem) = site.post_json("/v1/rank", &wrong).await;
    let fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|one| &one["field"]).collect();
    assert_eq!(fields, ["diversity", "rung"], "{problem}");
}

#[tokio::test]
async fn the_playground_offers_shoppers_and_its_files() {
    let site = Site::start().await;
    let (_, found) = site.get("/playground/shoppers").await;
    let shoppers = found["shoppers"].as_array().unwrap();
    assert_eq!(shoppers.len(), 12, "{found}");
    assert!(shoppers.iter().all(|one| one["clicks"].as_u64() > Some(0)), "{found}");
    assert_eq!(shoppers[0]["taste"].as_array().unwrap().len(), 3, "{found}");
    let style = site.http.get(site.url("/playground/style.css")).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
    assert_eq!(site.get("/playground/none.js").await.0, 404);
}

#[tokio::test]
async fn health_metrics_and_documents_are_served() {
    let site = Site::start().await;
    site.rank_for("u1", 5).await;
    assert_eq!(site.get("/healthz").await.0, 200);
    assert_eq!(site.get("/readyz").await.0, 200);
    let (_, metrics) = site.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for name in ["stage", "batch", "embedding", "provider"] {
        assert!(metrics.contains(name), "no metric about {name} in\n{metrics}");
    }
    let (_, openapi) = site.get("/openapi.json").await;
    assert!(openapi["paths"]["/v1/rank"]["post"].is_object(), "{openapi}");
    let (status, docs) = site.get("/docs/").await;
    assert!(status == 200 && docs.as_str().unwrap().contains("swagger"), "{docs}");
    let (status, page) = site.get("/").await;
    assert!(status == 200 && page.as_str().unwrap().contains("/playground/app.js"));
}

#[tokio::test]
async fn sigterm_ends_the_server_cleanly() {
    let site = Site::start().await;
    site.rank_for("u1", 5).await;
    assert_eq!(site.terminate(), Some(0));
}
