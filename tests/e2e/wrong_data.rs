//! Data that does not fit the bundle, and stores without items, are reported.

use std::{fs, process::Output};

use serde_json::json;
use tempfile::TempDir;

use super::{
    site::{Site, ids, loaded, plugrank, repository, settings, stderr},
    typed::{dataset, dataset_with},
};

const BUNDLE: &str = "shared/bundle/tests/fixtures/typed";

#[tokio::test]
async fn an_unavailable_item_stays_unavailable_through_a_load() {
    let folder = TempDir::new().expect("a temporary folder");
    dataset(folder.path());
    let site = Site::start_on(&repository(BUNDLE), folder.path()).await;
    let content = json!({"title": "i2", "available": false, "features": {"price": 7}});
    let (status, written) = site.put_json("/v1/items/i2", &content).await;
    assert!(status < 300, "{written}");
    let (site, report) = site.loaded_again(folder.path()).await;
    assert_eq!((&report["withdrawn_kept"], &report["overwritten"]), (&json!(1), &json!(1)));
    let (_, item) = site.get("/v1/items/i2").await;
    assert_eq!(item["available"], json!(false), "{item}");
    let body = json!({"user_id": "u1", "candidates": ["i1", "i2", "i3"], "explain": true});
    let reply = site.rank(body).await;
    let mut ranked = ids(reply["items"].as_array().expect("items"));
    ranked.sort_unstable();
    assert_eq!(ranked, ["i1", "i3"], "{reply}");
}

#[test]
fn a_dataset_without_a_column_of_the_bundle_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    dataset_with(folder.path(), "cost");
    let verify = |more: &[&str]| {
        let mut verify = plugrank(&["bundle", "verify"]);
        verify.arg(repository(BUNDLE)).arg("--dataset").arg(folder.path()).args(more);
        verify.output().expect("plugrank can be started")
    };
    for refused in [Site::load_for(&repository(BUNDLE), folder.path(), &[]), verify(&[])] {
        let told = stderr(&refused);
        assert!(!refused.status.success(), "{told}");
        assert!(told.contains("price") && told.contains("--allow-absent"), "{told}");
    }
    let allowed = ["--allow-absent", "price"];
    let loaded = Site::load_for(&repository(BUNDLE), folder.path(), &allowed);
    let table_of = |output: &Output| {
        assert!(output.status.success(), "{}", stderr(output));
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(table.contains("absent, as allowed") && table.contains("cost"), "{table}");
        table
    };
    table_of(&verify(&allowed));
    let table = table_of(&loaded);
    let told: Vec<&str> = table.lines().filter(|line| line.contains("interactions")).collect();
    let of =
        |column: &str| told.iter().any(|line| line.contains(column) && line.contains("66.7 %"));
    assert!(of("action") && of("value"), "two of three have neither: {table}");
}

#[test]
fn a_repeated_load_does_not_double_the_store_file() {
    let folder = TempDir::new().expect("a temporary folder");
    let store = folder.path().join("store.redb");
    fs::copy(loaded().join("store.redb"), &store).expect("the store can be copied");
    let config = settings(folder.path(), 0, "");
    let size = || fs::metadata(&store).expect("the store's file").len();
    let once = size();
    for _ in 0..2 {
        let mut load = plugrank(&["load", "--config"]);
        load.arg(&config).arg("--dataset").arg(repository("models/simshop/dataset"));
        let output = load.output().expect("plugrank can be started");
        assert!(output.status.success(), "{}", stderr(&output));
        let again = size();
        assert!(again < once + once / 4, "{once} bytes became {again}");
    }
}

#[tokio::test]
async fn an_empty_store_is_reported_by_readiness() {
    let site = Site::start_empty(&repository(BUNDLE)).await;
    let (status, ready) = site.get("/readyz").await;
    assert_eq!((status, &ready["degraded"]), (200, &json!(true)), "{ready}");
    assert!(ready.to_string().contains("the store has no items"), "{ready}");
    let reply = site.rank(json!({"user_id": "u1"})).await;
    assert_eq!(reply["items"], json!([]), "{reply}");
}
