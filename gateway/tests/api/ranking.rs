//! `POST /v1/rank`: full and degraded answers.

use plugrank_contract::{ErrorCode, ItemId};
use serde_json::{Value, json};

use crate::{
    stages::{Act, CATALOG, ctr},
    support::{Server, problem},
};

fn ids(reply: &Value) -> Vec<&str> {
    reply["items"].as_array().unwrap().iter().map(|i| i["item_id"].as_str().unwrap()).collect()
}

fn outcomes(reply: &Value) -> Vec<(&str, &str)> {
    let stages = reply["budget"]["stages"].as_array().unwrap();
    stages.iter().map(|s| (s["stage"].as_str().unwrap(), s["outcome"].as_str().unwrap())).collect()
}

#[actix_web::test]
async fn a_ranking_has_the_shape_of_the_api() {
    let server = Server::start();
    let id = "0192f0c1-2f4a-7c11-8a3e-6c1d9b3f2a10";
    let response = server
        .request(reqwest::Method::POST, "/v1/rank")
        .header("x-request-id", id)
        .json(&json!({"user_id": "u1"}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["x-request-id"], id);
    let timing = headers["server-timing"].to_str().unwrap();
    for stage in ["retrieval;dur=", "scoring;dur=", "reranking;dur=", "total;dur="] {
        assert!(timing.contains(stage), "{timing}");
    }
    let reply: Value = response.json().await.unwrap();
    let keys: Vec<&String> = reply.as_object().unwrap().keys().collect();
    let expected = [
        "request_id",
        "model",
        "experiments",
        "items",
        "cursor",
        "budget",
        "rung",
        "degraded",
        "coverage",
        "trace_id",
    ];
    assert_eq!(keys, expected);
    assert_eq!(reply["request_id"], id);
    assert_eq!(reply["model"], "test-1");
    assert_eq!(reply["experiments"], json!({}));
    assert_eq!(reply["degraded"], json!([]));
    assert_eq!(reply["budget"]["total_ms"], 1000.0);
    let completed = |stage| (stage, "completed");
    assert_eq!(outcomes(&reply), ["retrieval", "scoring", "reranking"].map(completed));

    let items = reply["items"].as_array().unwrap();
    assert_eq!(items.len(), 20);
    for (at, item) in items.iter().enumerate() {
        let id = format!("i{}", CATALOG - at);
        assert_eq!(item["item_id"], id);
        assert_eq!(item["rank"], at + 1);
        assert_eq!(item["ctr"].as_f64().unwrap() as f32, ctr(&id));
        assert_eq!(item["score"].as_f64().unwrap() as f32, ctr(&id) * 2.0);
        assert_eq!(item["sources"], json!(["popular"]));
    }
    let coverage = &reply["coverage"];
    assert_eq!(coverage["candidates"], CATALOG);
    assert_eq!(coverage["scored"], CATALOG);
    assert_eq!(coverage["missing"], 1);

    let page = server.metrics().await;
    for line in [
        "plugrank_http_requests_total{method=\"POST\",route=\"/v1/rank\",status=\"200\"} 1",
        "plugrank_stage_duration_seconds_count{stage=\"scoring\",outcome=\"completed\"} 1",
        "plugrank_ranked_rows_total{origin=\"missing\"} 1",
    ] {
        assert!(page.contains(line), "{line} not in {page}");
    }
}

#[actix_web::test]
async fn request_fields_reach_the_stages() {
    let server = Server::start();
    let reply = server
        .rank(&json!({
            "user_id": "u7",
            "k": 2,
            "candidates": ["i3", "i99", "i5", "i4"],
            "exclude": ["i4"],
            "context": {"timestamp": 1234},
            "budget_ms": 700,
            "explain": true,
        }))
        .await;
    assert_eq!(ids(&reply), ["i5", "i3"]);
    assert_eq!(reply["items"][0]["sources"], json!(["caller"]));
    assert_eq!(reply["coverage"]["unknown"], 1);
    assert_eq!(reply["coverage"]["dropped"], 2);
    assert_eq!(reply["budget"]["total_ms"], 700.0);
    let explain = &reply["explain"];
    assert_eq!(
        explain["dropped"],
        json!([
            {"item_id": "i99", "reason": "unknown"},
            {"item_id": "i4", "reason": "excluded"},
        ])
    );
    assert_eq!(
        explain["placements"][0],
        json!({"item_id": "i5", "placement": "ranked", "without_ppm": {"ctr": 0.05}})
    );

    let (context, call) = server.retrieve.calls().remove(0);
    assert_eq!(call.as_of, 1234);
    assert_eq!(call.exclude, vec![ItemId::from("i4")].into());
    assert_eq!(context.request_id.to_string(), reply["request_id"].as_str().unwrap());
    let (score_context, score) = server.score.calls().remove(0);
    assert_eq!((score.as_of, score.user_id.as_str()), (1234, "u7"));
    assert!(context.deadline.moment().unwrap() < score_context.deadline.moment().unwrap());
    assert_eq!(server.rerank.calls()[0].1.k, 2);
}

#[actix_web::test]
async fn equal_request_ids_have_equal_seeds() {
    let server = Server::start();
    for _ in 0..2 {
        server
            .request(reqwest::Method::POST, "/v1/rank")
            .header("x-request-id", "0192f0c1-2f4a-7c11-8a3e-6c1d9b3f2a10")
            .json(&json!({"user_id": "u1"}))
            .send()
            .await
            .unwrap();
    }
    server.rank(&json!({"user_id": "u1"})).await;
    let seeds: Vec<u64> = server.rerank.calls().iter().map(|(_, call)| call.seed).collect();
    assert_eq!(seeds[0], seeds[1]);
    assert_ne!(seeds[0], seeds[2]);
}

#[actix_web::test]
async fn without_scores_retrieval_order_is_served() {
    let server = Server::start();
    for (act, outcome, cause) in [
        (Act::Fail(ErrorCode::Internal), "failed", "failed"),
        (Act::Fail(ErrorCode::Overloaded), "failed", "overloaded"),
        (Act::Misbehave, "failed", "failed"),
        (Act::Hang, "cut", "cut"),
    ] {
        server.score.next(act);
        let reply = server.rank(&json!({"user_id": "u1", "k": 3, "budget_ms": 300})).await;
        assert_eq!(ids(&reply), ["i1", "i2", "i3"]);
        assert_eq!(reply["items"][0]["ctr"], Value::Null);
        assert_eq!(reply["model"], Value::Null);
        assert_eq!(reply["degraded"][0]["stage"], "scoring");
        assert_eq!(reply["degraded"][0]["cause"], cause);
        assert_eq!(reply["degraded"][0]["rung"], "retrieval_order");
        assert_eq!(outcomes(&reply)[1], ("scoring", outcome));
        assert_eq!(outcomes(&reply)[2], ("reranking", "skipped"));
        assert!(reply["budget"]["spent_ms"].as_f64().unwrap() < 300.0, "{reply}");
    }
    let page = server.metrics().await;
    let line =
        "plugrank_degraded_total{stage=\"scoring\",rung=\"retrieval_order\",cause=\"cut\"} 1";
    assert!(page.contains(line), "{page}");
}

#[actix_web::test]
async fn without_reranking_items_sort_by_probability() {
    let server = Server::start();
    for (act, outcome) in [
        (Act::Fail(ErrorCode::Unavailable), "failed"),
        (Act::Misbehave, "failed"),
        (Act::Hang, "cut"),
    ] {
        server.rerank.next(act);
        let reply = server.rank(&json!({"user_id": "u1", "k": 3, "budget_ms": 300})).await;
        assert_eq!(ids(&reply), ["i40", "i39", "i38"]);
        assert_eq!(reply["items"][0]["score"], reply["items"][0]["ctr"]);
        assert_eq!(reply["degraded"][0]["stage"], "reranking");
        assert_eq!(reply["degraded"][0]["rung"], "ctr_order");
        assert_eq!(outcomes(&reply)[2], ("reranking", outcome));
    }
}

#[actix_web::test]
async fn a_nan_score_sorts_last() {
    let server = Server::start();
    let reply = server.rank(&json!({"user_id": "nan", "k": 40})).await;
    let order = ids(&reply);
    assert_eq!((order[0], order[39]), ("i39", "i40"));
    assert_eq!(reply["degraded"][0]["cause"], "non_finite");
}

#[actix_web::test]
async fn a_source_that_failed_is_named() {
    let server = Server::start();
    server.retrieve.next(Act::Misbehave);
    let reply = server.rank(&json!({"user_id": "u1"})).await;
    assert_eq!(reply["degraded"][0]["rung"], "other_sources");
    assert_eq!(reply["degraded"][0]["detail"], "ann: no index");
    assert_eq!(ids(&reply).len(), 20);
}

#[actix_web::test]
async fn without_candidates_the_request_fails() {
    let server = Server::start();
    for act in [Act::Fail(ErrorCode::Unavailable), Act::Fail(ErrorCode::Overloaded), Act::Hang] {
        server.retrieve.next(act);
        let response = server.post("/v1/rank", &json!({"user_id": "u1", "budget_ms": 200})).await;
        assert_eq!(response.headers()["retry-after"], "1");
        problem(response, 503).await;
    }
    let reply = server.rank(&json!({"user_id": "u1", "candidates": ["i77"]})).await;
    assert_eq!(reply["items"], json!([]));
    assert_eq!(reply["coverage"]["unknown"], 1);
    assert_eq!(outcomes(&reply)[1..], [("scoring", "skipped"), ("reranking", "skipped")]);
}

/// Services in this process are guarded against panics on their own; this is the gateway's guard.
#[actix_web::test]
async fn a_panic_is_answered_and_the_process_stays_up() {
    let server = Server::start();
    server.score.next(Act::Panic);
    let response = server.post("/v1/rank", &json!({"user_id": "u1"})).await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let found: Value = response.json().await.unwrap();
    assert!(found["instance"].as_str().unwrap().starts_with("urn:uuid:"), "{found}");
    server.rank(&json!({"user_id": "u1"})).await;
}
