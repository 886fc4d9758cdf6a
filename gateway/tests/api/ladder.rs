//! The rungs requests start on, and how the ladder's controller moves them.

use std::time::Duration;

use plugrank_contract::{ErrorCode, embedding::Tiers, scoring::ModelKind};
use serde_json::{Value, json};

use crate::{
    stages::{Act, CATALOG},
    support::Server,
};

/// Stage, rung and cause of each entry of `degraded`.
fn rungs(reply: &Value) -> Vec<(&str, &str, &str)> {
    let list = reply["degraded"].as_array().unwrap();
    let step = |entry| {
        let get = |key: &str| Value::get(entry, key)?.as_str();
        assert!(get("detail").is_some_and(|detail| !detail.is_empty()));
        Some((get("stage")?, get("rung")?, get("cause")?))
    };
    list.iter().map(|entry| step(entry).unwrap()).collect()
}

fn pinned(rung: &str) -> Server {
    Server::start_with(|_, budget| {
        budget.ladder.pin = Some(serde_json::from_value(json!(rung)).unwrap());
        budget.fewer_candidates = 10;
    })
}

#[actix_web::test]
async fn every_rung_can_be_pinned_and_is_reported() {
    let fewer = ("scoring", "fewer_candidates", "pinned");
    for (rung, expected) in [
        ("full", vec![]),
        ("fewer_candidates", vec![("retrieval", "fewer_candidates", "pinned"), fewer]),
        ("ctr_order", vec![("reranking", "ctr_order", "pinned")]),
        ("missing_vectors", vec![("scoring", "missing_vectors", "pinned")]),
        ("idrec", vec![("scoring", "idrec", "pinned")]),
        ("retrieval_order", vec![("scoring", "retrieval_order", "pinned")]),
    ] {
        let server = pinned(rung);
        let reply = server.rank(&json!({"user_id": "u1", "k": 5})).await;
        assert_eq!(rungs(&reply), expected, "{rung}");
        assert_eq!(reply["rung"], rung);
        assert_eq!(reply["items"].as_array().unwrap().len(), 5, "{rung}");
        let limit = server.retrieve.calls()[0].1.limit;
        let whole = matches!(rung, "full" | "ctr_order");
        assert_eq!(limit, if whole { 300 } else { 10 }, "{rung}");
        let scored = server.score.calls();
        match rung {
            "retrieval_order" => assert!(scored.is_empty()),
            "idrec" => assert_eq!(scored[0].1.model, ModelKind::Idrec),
            "missing_vectors" => assert_eq!(scored[0].1.tiers, Tiers::Cached),
            _ => {
                assert_eq!((scored[0].1.model, scored[0].1.tiers), (ModelKind::Unified, Tiers::All))
            }
        }
        assert_eq!(
            server.rerank.calls().is_empty(),
            matches!(rung, "ctr_order" | "retrieval_order")
        );
        let page = server.metrics().await;
        assert!(page.contains(&format!("plugrank_answers_total{{rung=\"{rung}\"}} 1")), "{page}");
    }
}

#[actix_web::test]
async fn all_candidates_of_the_caller_are_ranked_on_the_fewer_candidates_rung() {
    let server = pinned("fewer_candidates");
    let named: Vec<String> = (1..=CATALOG).map(|n| format!("i{n}")).collect();
    let reply = server.rank(&json!({"user_id": "u1", "k": 40, "candidates": named})).await;
    assert_eq!(reply["items"].as_array().unwrap().len(), CATALOG);
    assert_eq!(
        (reply["rung"].as_str(), reply["degraded"].as_array().unwrap().len()),
        (Some("full"), 0)
    );
}

#[actix_web::test]
async fn fewer_candidates_are_never_fewer_than_k() {
    let server = pinned("fewer_candidates");
    let reply = server.rank(&json!({"user_id": "u1", "k": 25})).await;
    assert_eq!(reply["items"].as_array().unwrap().len(), 25);
    assert_eq!(server.retrieve.calls()[0].1.limit, 25);
}

#[actix_web::test]
async fn a_stage_under_load_steps_down_is_reported_and_recovers() {
    // Short windows, so that the test is quick.
    let server = Server::start_with(|_, budget| {
        budget.ladder.settle_ms = 10;
        budget.ladder.recover_ms = 100;
        budget.ladder.window_ms = 2000;
    });
    for _ in 0..3 {
        server.score.next(Act::Fail(ErrorCode::Overloaded));
        let reply = server.rank(&json!({"user_id": "u1"})).await;
        assert_eq!(rungs(&reply), [("scoring", "retrieval_order", "overloaded")]);
    }
    let reply = server.rank(&json!({"user_id": "u1"})).await;
    assert_eq!(rungs(&reply), [("scoring", "fewer_candidates", "pressure")]);
    assert_eq!(server.retrieve.calls().last().unwrap().1.limit, 100);
    let page = server.metrics().await;
    let step =
        "plugrank_rung_steps_total{stage=\"scoring\",direction=\"down\",to=\"fewer_candidates\"} 1";
    assert!(page.contains(step), "{page}");
    assert!(page.contains("plugrank_rung{stage=\"scoring\"} 1"), "{page}");
    assert!(page.contains("plugrank_rung{stage=\"reranking\"} 0"), "{page}");
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if server.rank(&json!({"user_id": "u1"})).await["rung"] == "full" {
            let page = server.metrics().await;
            assert!(page.contains("plugrank_rung{stage=\"scoring\"} 0"), "{page}");
            return;
        }
    }
    panic!("the stage did not step up again");
}
