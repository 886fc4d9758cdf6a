//! `POST /v1/rank/batch`, and `GET /v1/items/{id}/similar`.

use plugrank_contract::{ErrorCode, HistoryEntry, ItemId};
use serde_json::{Value, json};

use crate::{
    stages::Act,
    support::{Server, problem},
};

async fn batch(server: &Server, requests: &Value) -> Vec<Value> {
    let response = server.post("/v1/rank/batch", &json!({ "requests": requests })).await;
    assert_eq!(response.status(), 200);
    let reply: Value = response.json().await.unwrap();
    reply["results"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn each_request_of_a_batch_has_its_own_answer_or_problem() {
    let server = Server::start();
    let results = batch(
        &server,
        &json!([
            {"user_id": "u1", "k": 2},
            {"user_id": "u2", "k": 0},
            7,
            {"user_id": "u3", "candidates": ["i3"]},
        ]),
    )
    .await;
    let statuses: Vec<u64> = results.iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 400, 400, 200]);
    assert_eq!(results[0]["ranking"]["items"][0]["item_id"], "i40");
    assert_eq!(results[1]["problem"]["field"], "k");
    assert_eq!(results[2]["problem"]["field"], "body");
    assert_eq!(results[3]["ranking"]["items"][0]["item_id"], "i3");
    let id = |at: usize| results[at]["ranking"]["request_id"].as_str().unwrap();
    assert_ne!(id(0), id(3), "events name their ranking by its id");
    let page = server.metrics().await;
    let line = "plugrank_stage_duration_seconds_count{stage=\"scoring\",outcome=\"completed\"} 2";
    assert!(page.contains(line), "{page}");
}

#[actix_web::test]
async fn request_ids_of_a_batch_are_derived_from_its_header() {
    let server = Server::start();
    let ask = || async {
        let response = server
            .request(reqwest::Method::POST, "/v1/rank/batch")
            .header("x-request-id", "0192f0c1-2f4a-7c11-8a3e-6c1d9b3f2a10")
            .json(&json!({"requests": [{"user_id": "u1"}, {"user_id": "u1"}]}))
            .send()
            .await
            .unwrap();
        let reply: Value = response.json().await.unwrap();
        [0, 1].map(|at| reply["results"][at]["ranking"]["request_id"].to_string())
    };
    let first = ask().await;
    assert_ne!(first[0], first[1]);
    assert_eq!(first, ask().await);
}

#[actix_web::test]
async fn a_failed_ranking_does_not_affect_the_rest_of_its_batch() {
    let server = Server::start();
    server.retrieve.next(Act::Fail(ErrorCode::Internal));
    let results = batch(&server, &json!([{"user_id": "u1"}, {"user_id": "u2"}])).await;
    let mut statuses = [0, 1].map(|at: usize| results[at]["status"].as_u64().unwrap());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

#[actix_web::test]
async fn a_batch_has_one_to_a_hundred_requests() {
    let server = Server::start();
    for count in [0, 101] {
        let requests = vec![json!({"user_id": "u1"}); count];
        let response = server.post("/v1/rank/batch", &json!({ "requests": requests })).await;
        assert_eq!(problem(response, 400).await["field"], "requests");
    }
    let requests = json!(vec![json!({"user_id": "u1", "k": 1}); 100]);
    assert!(batch(&server, &requests).await.iter().all(|one| one["status"] == 200));
    for body in [json!({}), json!({"requests": {}}), json!({"requests": [], "more": 1})] {
        problem(server.post("/v1/rank/batch", &body).await, 400).await;
    }
}

#[actix_web::test]
async fn similar_items_have_the_shape_of_the_api() {
    let server = Server::start();
    let path = "/v1/items/i1/similar?k=2&filter=%7B%22must%22%3A%5B%7B%22field%22%3A%22price%22%2C%22lt%22%3A5%7D%5D%7D";
    let reply: Value = server.get(path).await.json().await.unwrap();
    let expected = json!({
        "item_id": "i1",
        "model": "test-1",
        "items": [
            {"item_id": "i2", "rank": 1, "similarity": 1.0},
            {"item_id": "i3", "rank": 2, "similarity": 0.5},
        ],
    });
    assert_eq!(reply, expected);
    let (_, call) = server.similar.calls().remove(0);
    assert_eq!(call.filters[0].must[0].lt, Some(5.0));
    for (query, field) in [
        ("k=0", "k"),
        ("k=many", "query"),
        ("kk=1", "query"),
        ("filter=7", "filter"),
        ("filter=%7B%22must%22%3A%5B%7B%22field%22%3A%22x%22%7D%5D%7D", "filter.must[0]"),
    ] {
        let problem = problem(server.get(&format!("/v1/items/i1/similar?{query}")).await, 400);
        assert_eq!(problem.await["field"], field, "{query}");
    }
    server.similar.next(Act::Fail(ErrorCode::NotFound));
    problem(server.get("/v1/items/i1/similar").await, 404).await;
    server.similar.next(Act::Fail(ErrorCode::Unavailable));
    problem(server.get("/v1/items/i1/similar").await, 503).await;
    server.similar.next(Act::Refuse("/filters/0/must/0/field"));
    let refused = problem(server.get("/v1/items/i1/similar").await, 400).await;
    assert_eq!(refused["errors"][0]["pointer"], "/filter/must/0/field");
}

#[actix_web::test]
async fn recent_events_and_context_items_reach_the_stages() {
    let server = Server::start();
    let body = json!({
        "user_id": "u1",
        "context": {"timestamp": 1_000, "items": ["i7", "i8"]},
        "user": {"recent": [
            {"item_id": "i1"},
            {"item_id": "i2", "type": "impression"},
            {"item_id": "i3", "timestamp": 1_000},
            {"item_id": "i4", "timestamp": 999},
        ]},
    });
    server.rank(&body).await;
    let entry = |id: &str, clicked, timestamp| HistoryEntry {
        action: Some(if clicked { "click".into() } else { "impression".into() }),
        ..HistoryEntry::new(ItemId::from(id), clicked, timestamp)
    };
    let history = [entry("i4", true, 999), entry("i1", true, 999), entry("i2", false, 998)];
    let (_, call) = server.retrieve.calls().remove(0);
    assert_eq!(
        call.recent.as_deref(),
        Some(&history[..]),
        "events after the request time do not count"
    );
    assert_eq!(call.context, ["i7", "i8"].map(ItemId::from).to_vec().into());
    let (_, score) = server.score.calls().remove(0);
    assert_eq!(score.given.unwrap().recent.as_deref(), Some(&history[..]));
    for (body, field) in [
        (json!({"user_id": "u", "user": {"recent": [{"item_id": ""}]}}), "user.recent[0]"),
        (json!({"user_id": "u", "user": {"recent": [{"item": "i"}]}}), "user.recent[0].item"),
        (json!({"user_id": "u", "context": {"items": [""]}}), "context.items[0]"),
    ] {
        let refused = problem(server.post("/v1/rank", &body).await, 400).await;
        assert_eq!(refused["field"], field);
    }
    let none = json!({"user_id": "u", "user": {"recent": []}, "context": {"timestamp": 9}});
    server.rank(&none).await;
    assert_eq!(server.retrieve.calls()[1].1.recent.as_deref(), Some(&[][..]), "an empty history");
}
