//! A process that is started again answers as before.

use std::{fs, time::Duration};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    e2e::site::{loaded, settings},
    fleet::{Process, free_port},
};

/// Ids and probabilities of a user's list.
async fn list(http: &Client, process: &Process, user: &str) -> Vec<(String, f64)> {
    let body = json!({"user_id": user, "k": 20, "budget_ms": 5000});
    let asked = http.post(process.url("/v1/rank")).json(&body).send().await.unwrap();
    let reply: Value = asked.json().await.unwrap();
    assert_eq!(
        (&reply["degraded"], &reply["coverage"]["missing"]),
        (&json!([]), &json!(0)),
        "{reply}"
    );
    let of = |item: &Value| {
        (item["item_id"].as_str().unwrap().to_owned(), item["ctr"].as_f64().unwrap())
    };
    reply["items"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn a_restart_from_a_snapshot_answers_as_before() {
    let folder = TempDir::new().unwrap();
    fs::copy(loaded().join("store.redb"), folder.path().join("store.redb")).unwrap();
    let port = free_port();
    let config = settings(folder.path(), port, "");
    let http = Client::new();
    let mut process = Process::start("all", port, config.clone());
    process.ready(&http).await;
    let log = || fs::read_to_string(config.with_extension("log")).unwrap();
    let mut before = Vec::new();
    for user in ["u1", "u2", "u3", "a-stranger"] {
        before.push(list(&http, &process, user).await);
    }
    tokio::time::timeout(Duration::from_secs(60), async {
        while !log().contains("a snapshot was saved") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("a snapshot is saved");
    assert_eq!(process.terminate().await, Some(0));

    process.restart();
    process.ready(&http).await;
    for (user, before) in ["u1", "u2", "u3", "a-stranger"].into_iter().zip(&before) {
        let after = list(&http, &process, user).await;
        assert_eq!(after.len(), before.len());
        for ((item, ctr), (other, expected)) in after.iter().zip(before) {
            assert_eq!(item, other, "{user}");
            assert!((ctr - expected).abs() < 1e-5, "{user}: {ctr} {expected}");
        }
    }
    let log = log();
    let filled: Vec<&str> =
        log.lines().filter(|line| line.contains("item table is filled")).collect();
    let restored = |line: &str| !line.contains("snapshot=\"none\"");
    assert_eq!(
        filled.iter().map(|line| restored(line)).collect::<Vec<_>>(),
        [false, true],
        "{log}"
    );
}
