//! Invalid requests get a problem+json that names the field, and the process stays up.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::site::Site;

/// Sends the request and expects a problem of this status that names this field.
async fn refused(request: RequestBuilder, status: u16, field: Option<&str>) -> Value {
    let response = request.send().await.expect("an answer");
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(media_type, "application/problem+json");
    assert_eq!(response.status().as_u16(), status);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(problem["status"], json!(status), "{problem}");
    for key in ["type", "title", "detail"] {
        assert!(problem[key].is_string(), "no `{key}` in {problem}");
    }
    if let Some(field) = field {
        assert!(problem["field"].as_str().is_some_and(|got| got.starts_with(field)), "{problem}");
    }
    problem
}

async fn refused_rank(site: &mut Site, body: Value, field: &str) {
    refused(site.post("/v1/rank").json(&body), 400, Some(field)).await;
    assert!(site.alive());
    assert_eq!(site.rank_for("u1", 3).await.len(), 3);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_by_the_server() {
    let mut site = Site::start().await;
    let request = site.post("/v1/rank").header("content-type", "application/json").body("{user");
    refused(request, 400, None).await;
    assert!(site.alive());
}

#[tokio::test]
async fn wrong_types_and_values_name_the_field() {
    let mut site = Site::start().await;
    let cases = [
        (json!({"user_id": 7, "k": 3}), "user_id"),
        (json!({"k": 3}), "user_id"),
        (json!({"user_id": "", "k": 3}), "user_id"),
        (json!({"user_id": "u1", "k": "three"}), "k"),
        (json!({"user_id": "u1", "k": 0}), "k"),
        (json!({"user_id": "u1", "k": -3}), "k"),
        (json!({"user_id": "u1", "k": 1_000_000_000}), "k"),
        (json!({"user_id": "u1", "k": 3, "candidates": "i1"}), "candidates"),
        (json!({"user_id": "u1", "k": 3, "candidates": ["i1", 2]}), "candidates"),
        (json!({"user_id": "u1", "k": 3, "candidates": ["i1", ""]}), "candidates"),
        (json!({"user_id": "u1", "k": 3, "budget_ms": -1}), "budget_ms"),
        (json!({"user_id": "u1", "k": 3, "kk": 3}), "kk"),
    ];
    for (body, field) in cases {
        refused_rank(&mut site, body, field).await;
    }
}

#[tokio::test]
async fn a_hundred_thousand_candidates_are_refused() {
    let mut site = Site::start().await;
    let candidates: Vec<String> = (0..100_000).map(|n| format!("i{n}")).collect();
    refused_rank(
        &mut site,
        json!({"user_id": "u1", "k": 3, "candidates": candidates}),
        "candidates",
    )
    .await;
}

#[tokio::test]
async fn a_body_of_fifty_megabytes_is_refused() {
    let mut site = Site::start().await;
    let body = vec![b' '; 50 << 20];
    let request = site.post("/v1/rank").header("content-type", "application/json").body(body);
    // The server answers before it has read everything; a client that is still writing then may
    // see the connection end instead of the answer.
    match request.send().await {
        Ok(response) => {
            assert_eq!(response.status().as_u16(), 413);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    assert!(site.alive());
    assert_eq!(site.rank_for("u1", 3).await.len(), 3);
}

#[tokio::test]
async fn wrong_media_types_methods_and_paths_are_refused() {
    let mut site = Site::start().await;
    let body = r#"{"user_id": "u1", "k": 3}"#;
    let typed =
        |media_type: &str| site.post("/v1/rank").header("content-type", media_type).body(body);
    refused(typed("text/csv"), 415, None).await;
    refused(typed("application/x-unheard-of"), 415, None).await;
    refused(site.http.get(site.url("/v1/rank")), 405, None).await;
    refused(site.http.get(site.url("/v1/rnak")), 404, None).await;
    assert!(site.alive());
}

#[tokio::test]
async fn invalid_events_are_refused() {
    let mut site = Site::start().await;
    let event = |key: &str, value: Value| {
        let mut event = json!({"event_id": "e", "type": "click", "user_id": "u1", "item_id": "i1"});
        event[key] = value;
        json!({"events": [event]})
    };
    for (key, value) in [
        ("type", json!("purchase-ish")),
        ("user_id", json!("")),
        ("item_id", json!(5)),
        ("event_id", json!("")),
        ("timestamp", json!(99_999_999_999_999_i64)),
    ] {
        let request = site.post("/v1/events").json(&event(key, value));
        let problem = refused(request, 400, None).await;
        assert!(problem["field"].as_str().is_some_and(|field| field.contains(key)), "{problem}");
    }
    assert!(site.alive());
    let (_, user) = site.get("/v1/users/u1").await;
    assert!(user["history"].as_array().is_some(), "{user}");
}
