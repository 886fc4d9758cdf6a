//! Item vectors in a shared engine: the same answers as with the embedded index, and degraded answers
//! while the engine is down.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::fleet::{Fleet, Process, Redis};

/// Settings that make two processes answer equally to the last digit (see `split.rs`); the embedded index
/// searches exactly, as the engine does; and no other source names candidates, so that a difference shows.
const ALIKE: &str = r#"
retrieval.limit = 120
retrieval.ann.threads = 1
retrieval.ann.expansion_search = 4000
retrieval.shares = { ann = 0.9, co_visitation = 0.0, category = 0.0, popular = 0.0, fresh = 0.0 }
scoring.user_buckets = [1]
embedding.user_buckets = [1]
reranking.exploration_share = 0.0
"#;
const USERS: usize = 10;

async fn rank(fleet: &Fleet, process: &Process, user: usize) -> Value {
    let mut body = json!({
        "user_id": format!("u{}", user * 13 % 500 + 1),
        "k": 100,
        "budget_ms": 10_000,
        "context": {"timestamp": 4_000_000_000_000_i64},
    });
    if user.is_multiple_of(3) {
        let unwanted = (0..40).map(|step| format!("i{}", user * 31 + step * 17 + 1));
        body["exclude"] = unwanted.collect();
    }
    let id = format!("018f3f2e-7b1a-7c3d-9e4f-{user:012x}");
    let request = fleet.http.post(process.url("/v1/rank")).header("x-request-id", id).json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{body}");
    answer.json().await.unwrap()
}

/// Whether an answer is degraded, which only the engine may cause.
fn is_degraded(reply: &Value) -> bool {
    let degraded = reply["degraded"].to_string();
    assert!(degraded == "[]" || degraded.contains("vector engine"), "{degraded}");
    degraded != "[]"
}

async fn wait_until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Answers that are whole, and equal; how many items the nearest neighbours named.
async fn compare(fleet: &Fleet, engine: &Process, embedded: &Process) -> usize {
    let mut near = 0;
    for user in 0..USERS {
        let (a, b) = tokio::join!(rank(fleet, engine, user), rank(fleet, embedded, user));
        assert_eq!((&a["degraded"], &b["degraded"]), (&json!([]), &json!([])));
        let items = |reply: &Value| -> Vec<(String, String)> {
            let items = reply["items"].as_array().unwrap().iter();
            items.map(|item| (item["item_id"].to_string(), item["sources"].to_string())).collect()
        };
        assert_eq!(items(&a), items(&b), "user {user}");
        near += items(&a).iter().filter(|(_, sources)| sources.contains("ann")).count();
    }
    near
}

async fn indexed(fleet: &Fleet, process: &Process) -> u64 {
    let metrics = fleet.http.get(process.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("plugrank_indexed_items{role=\"retrieval\"} "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_shared_engine_ranks_like_the_embedded_index_and_survives_failures() {
    let fleet = Fleet::start().await;
    let mut vectors = Redis::with_vector_sets(&fleet.folder("vectors")).await;
    let at = format!(
        "{ALIKE}retrieval.engine.kind = \"redis\"\nretrieval.engine.redis.url = \"redis://127.0.0.1:{}\"\nretrieval.engine.shards = 3\nretrieval.engine.exact = true\n",
        vectors.port
    );
    let embedded = fleet.spawn("all", ALIKE);
    let engine = fleet.spawn("all", &at);
    for process in [&embedded, &engine] {
        process.ready(&fleet.http).await;
    }
    let items = indexed(&fleet, &embedded).await;
    assert_eq!(indexed(&fleet, &engine).await, items, "all were filled in before it was ready");
    let near = compare(&fleet, &engine, &embedded).await;
    assert!(near > 40 * USERS, "{near}");

    // Written and deleted through either process: the other follows.
    let item = json!({"title": "A new thing", "text": "for the table", "categories": ["Toys"]});
    let put = fleet.http.put(engine.url("/v1/items/new")).json(&item).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.status());
    wait_until("the engine has it", async || indexed(&fleet, &engine).await == items + 1).await;
    wait_until("the index has it", async || indexed(&fleet, &embedded).await == items + 1).await;
    compare(&fleet, &engine, &embedded).await;
    let gone = fleet.http.delete(embedded.url("/v1/items/i7")).send().await.unwrap();
    assert!(gone.status().is_success());
    wait_until("the engine lacks it", async || indexed(&fleet, &engine).await == items).await;
    wait_until("the index lacks it", async || indexed(&fleet, &embedded).await == items).await;

    // Killed and started again under requests: every one is answered, and in the end as before.
    let over = Cell::new(false);
    let load = async |first: usize| {
        let (mut answers, mut degraded) = (0, 0);
        while !over.get() {
            let reply = rank(&fleet, &engine, (first + answers) % USERS).await;
            assert_eq!(reply["items"].as_array().unwrap().len(), 100);
            (answers, degraded) = (answers + 1, degraded + usize::from(is_degraded(&reply)));
        }
        (answers, degraded)
    };
    let degraded = async || is_degraded(&rank(&fleet, &engine, 0).await);
    let scenario = async {
        vectors.kill();
        wait_until("it is missed", &degraded).await;
        vectors.restart().await;
        wait_until("it is found", async || !degraded().await).await;
        over.set(true);
    };
    let (one, two, ()) = tokio::join!(load(0), load(5), scenario);
    println!("{} answers, {} of them without the engine", one.0 + two.0, one.1 + two.1);
    assert!(one.1 + two.1 > 0);
    compare(&fleet, &engine, &embedded).await;

    // It has lost its data: an empty result is treated as a failure, and the engine is filled again.
    vectors.flush();
    wait_until("it is filled again", async || {
        let whole = !is_degraded(&rank(&fleet, &engine, 1).await);
        whole && indexed(&fleet, &engine).await == items
    })
    .await;
    compare(&fleet, &engine, &embedded).await;
}
