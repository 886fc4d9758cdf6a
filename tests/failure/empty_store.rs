//! A store without items under a bundle that ranks a catalog: a wrong path, or nothing loaded.

use std::fs;

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    e2e::site::settings,
    fleet::{Process, free_port},
};

#[tokio::test]
async fn a_store_without_items_is_reported_by_log_and_readiness() {
    let (folder, http, port) = (TempDir::new().unwrap(), Client::new(), free_port());
    let config = settings(folder.path(), port, "");
    let process = Process::start("all", port, config.clone());
    process.ready(&http).await;
    let ready: Value = http.get(process.url("/readyz")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&ready["ready"], &ready["degraded"]), (&json!(true), &json!(true)), "{ready}");
    let checks = ready["checks"].as_array().unwrap();
    let catalog = checks.iter().find(|check| check["name"] == "catalog").unwrap();
    assert_eq!((&catalog["ready"], &catalog["advisory"]), (&json!(false), &json!(true)));
    assert!(catalog["reason"].as_str().unwrap().contains("plugrank load"), "{catalog}");
    let log = fs::read_to_string(config.with_extension("log")).unwrap();
    let told = log.lines().find(|line| line.contains("the store has no items")).unwrap();
    assert!(told.contains("WARN") && told.contains("store.path"), "{told}");
}
