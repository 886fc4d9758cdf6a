//! Settings that stop the process before it binds a port.

use std::fs;

use tempfile::TempDir;

use super::site::{plugrank, settings, stderr};

/// Starts with these settings and expects exit 64 and a message that names the key.
fn refused(more: &str, environment: &[(&str, &str)], key: &str) {
    let folder = TempDir::new().unwrap();
    let config = settings(folder.path(), 0, more);
    let output = plugrank(&["serve", "--config"])
        .arg(config)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{message}");
    assert!(message.contains(key), "`{key}` is not named in: {message}");
    assert!(!folder.path().join("store.redb").exists(), "the store was opened");
}

#[test]
fn unknown_keys_stop_the_server() {
    refused("scoring.batch_rowz = 5", &[], "batch_rowz");
    refused("serving.x = 5", &[], "serving");
    refused("", &[("PLUGRANK__SCORING__BATCH_ROWZ", "5")], "batch_rowz");
}

#[test]
fn out_of_range_values_stop_the_server() {
    refused("scoring.workers = 257", &[], "scoring.workers");
    refused("reranking.lambda = 1.5", &[], "reranking.lambda");
    refused("budget.shares.scoring = 0.95", &[], "budget.shares");
    refused("scoring.provider = \"tpu\"", &[], "scoring.provider");
    refused("", &[("PLUGRANK__SERVER__BIND", "nowhere")], "server.bind");
}

#[test]
fn settings_are_validated_without_starting_a_server() {
    let folder = TempDir::new().unwrap();
    let validate = |more: &str| {
        let config = settings(folder.path(), 0, more);
        let mut command = plugrank(&["validate", "--config"]);
        command.arg(config).env("PLUGRANK_SERVER__BIND", "x").output().unwrap()
    };
    let possible = validate("");
    assert_eq!(possible.status.code(), Some(0), "{}", stderr(&possible));
    assert!(stderr(&possible).contains("PLUGRANK__SERVER__BIND would"), "{}", stderr(&possible));
    let impossible = validate("scoring.batch_rowz = 5\nscoring.workers = 257\nstore.kind = \"x\"");
    let message = stderr(&impossible);
    assert_eq!(impossible.status.code(), Some(1), "{message}");
    for key in
        ["`scoring.batch_rowz`", "`scoring.workers` is 257; it must be 0 to 256", "`store.kind`"]
    {
        assert!(message.contains(key), "{key} is not named in: {message}");
    }
    let json = plugrank(&["validate", "--json", "--config"])
        .arg(folder.path().join("plugrank.toml"))
        .output()
        .unwrap();
    assert_eq!((json.status.code(), stderr(&json).as_str()), (Some(1), ""));
    let said: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(said["valid"], false);
    let keys = said["problems"].as_array().unwrap().iter().map(|one| one["key"].as_str());
    assert!(keys.into_iter().any(|key| key == Some("scoring.workers")), "{said}");
    assert!(!folder.path().join("store.redb").exists(), "the store was opened");
}

#[test]
fn a_missing_or_invalid_settings_file_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("plugrank.toml");
    let run = || plugrank(&["serve", "--config"]).arg(&path).output().unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("plugrank.toml"), "{}", stderr(&output));
    fs::write(&path, "this is no toml").unwrap();
    assert_eq!(run().status.code(), Some(64));
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = TempDir::new().unwrap();
    let config = settings(folder.path(), port, "");
    let output = plugrank(&["serve", "--config"]).arg(config).output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains(&port.to_string()), "{}", stderr(&output));
}
