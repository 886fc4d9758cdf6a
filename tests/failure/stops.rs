//! Repeated stops and starts.

use std::{fs, path::Path};

use reqwest::{Client, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    e2e::site::{loaded, settings},
    fleet::{Process, free_port},
};

/// What the log says of a store that the run before did not close.
const UNCLEAN: &str = "not closed cleanly";

/// Starts a role, has it store an event, and stops it as an orchestrator does.
async fn start_and_stop(role: &'static str, folder: &Path, more: &str, turn: u32) {
    let http = Client::new();
    let port = free_port();
    let config = settings(folder, port, more);
    let mut process = Process::start(role, port, config.clone());
    process.ready(&http).await;
    let event = json!({"events": [{
        "event_id": format!("stop-{role}-{turn}"), "type": "click", "user_id": "u1", "item_id": "i1",
    }]});
    let stored = http.post(process.url("/v1/events")).json(&event).send().await.unwrap();
    assert_eq!(stored.status(), StatusCode::ACCEPTED, "{}", stored.text().await.unwrap());
    assert_eq!(process.terminate().await, Some(0), "{role}, {turn}");
    let log = fs::read_to_string(config.with_extension("log")).unwrap();
    assert!(!log.contains(UNCLEAN), "{role}, {turn}: {log}");
}

#[tokio::test]
async fn fifty_clean_stops_leave_the_store_closed() {
    let folder = TempDir::new().unwrap();
    // Without a model a start is quick; the peers are never called.
    let elsewhere = "peers.retrieval_url = \"http://127.0.0.1:1\"\n\
                     peers.embedding_url = \"http://127.0.0.1:1\"\n\
                     peers.scoring_url = \"http://127.0.0.1:1\"\n\
                     peers.reranking_url = \"http://127.0.0.1:1\"\n";
    for turn in 0..47 {
        start_and_stop("gateway", folder.path(), elsewhere, turn).await;
    }
    let folder = TempDir::new().unwrap();
    fs::copy(loaded().join("store.redb"), folder.path().join("store.redb")).unwrap();
    for turn in 0..3 {
        start_and_stop("all", folder.path(), "", turn).await;
    }
    // Control: a killed process leaves the store open.
    let port = free_port();
    let config = settings(folder.path(), port, "");
    let http = Client::new();
    let mut process = Process::start("all", port, config.clone());
    process.ready(&http).await;
    // Before it writes, there is nothing to verify.
    let event = json!({"events": [{
        "event_id": "killed", "type": "click", "user_id": "u1", "item_id": "i1",
    }]});
    let stored = http.post(process.url("/v1/events")).json(&event).send().await.unwrap();
    assert_eq!(stored.status(), StatusCode::ACCEPTED);
    process.kill();
    process.restart();
    process.ready(&http).await;
    let log = fs::read_to_string(config.with_extension("log")).unwrap();
    assert!(log.contains(UNCLEAN) && log.contains("every page of the store was verified"), "{log}");
}
