//! API keys on a running server: created by the command, rotated while it runs; and refused starts.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Site, loaded, plugrank, settings, stderr};

/// Makes a key and appends its line to a file.
fn new_key(file: &Path, more: &[&str]) -> String {
    let output = plugrank(&["keys", "new", "--append"]).arg(file).args(more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let key = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(!fs::read_to_string(file).unwrap().contains(&key), "the file has the digest only");
    key
}

async fn rank(site: &Site, key: Option<&str>) -> (u16, Value) {
    let request = site.post("/v1/rank").json(&json!({"user_id": "u1", "k": 3}));
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Waits until requests with a key get this status: key files are read every second.
async fn wait_for_status(site: &Site, key: &str, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while rank(site, Some(key)).await.0 != status {
        assert!(Instant::now() < deadline, "the file was not read again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn keys_are_created_rotated_and_revoked_while_the_server_runs() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys.toml");
    let old = new_key(&file, &["--scope", "rank,events", "--name", "shop"]);
    let ended = ["--scope", "rank", "--name", "past", "--expires", "2020-01-01T00:00:00Z"];
    let ended = new_key(&file, &ended);
    let site = Site::start_with(&format!("access.keys_file = {file:?}")).await;
    assert_eq!(rank(&site, Some(&old)).await.0, 200);
    assert_eq!(rank(&site, None).await.0, 401);
    let (status, problem) = rank(&site, Some(&ended)).await;
    assert_eq!((status, problem["detail"].as_str().unwrap()), (401, "the key has expired"));
    let user = site.http.get(site.url("/v1/users/u1")).bearer_auth(&old).send().await.unwrap();
    assert_eq!(user.status().as_u16(), 403);
    assert_eq!(site.get("/readyz").await.0, 200);
    // Both keys are valid during the rotation; then the new one only.
    let new = new_key(&file, &["--scope", "rank", "--name", "shop-2"]);
    wait_for_status(&site, &new, 200).await;
    assert_eq!(rank(&site, Some(&old)).await.0, 200);
    let lines = fs::read_to_string(&file).unwrap();
    let kept: String = lines
        .lines()
        .filter(|line| !line.starts_with("shop ="))
        .fold(String::new(), |kept, line| kept + line + "\n");
    fs::write(&file, kept).unwrap();
    wait_for_status(&site, &old, 401).await;
    assert_eq!(rank(&site, Some(&new)).await.0, 200);
}

#[tokio::test]
async fn the_command_line_sends_its_key() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys.toml");
    let key = new_key(&file, &["--scope", "rank", "--name", "cli"]);
    let site = Site::start_with(&format!("access.keys_file = {file:?}")).await;
    let ask = |key: &str| {
        let mut command = plugrank(&["rank", "u1", "--url", &site.url("")]);
        command.env("PLUGRANK_KEY", key).output().unwrap()
    };
    let answer = ask(&key);
    assert!(answer.status.success(), "{}", stderr(&answer));
    let refused = ask("wrong");
    assert!(stderr(&refused).contains("the key is not known here"), "{}", stderr(&refused));
}

#[test]
fn a_public_port_is_not_opened_without_keys() {
    let folder = TempDir::new().unwrap();
    fs::copy(loaded().join("store.redb"), folder.path().join("store.redb")).unwrap();
    let config = settings(folder.path(), 0, "");
    let start = |arguments: &[&str]| {
        let mut command = plugrank(&["serve", "--config"]);
        command.arg(&config).args(arguments).env("PLUGRANK__SERVER__BIND", "0.0.0.0:0");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
        stderr(&output)
    };
    let said = start(&[]);
    assert!(
        said.contains("plugrank keys new") && said.contains("access.auth = \"none\""),
        "{said}"
    );
    let said = start(&["--role", "scoring"]);
    assert!(said.contains("peers.token_file") && said.contains("openssl rand"), "{said}");
}

#[test]
fn unusable_access_settings_are_named() {
    let folder = TempDir::new().unwrap();
    for (more, named) in [
        ("access.keys_file = \"/nowhere/keys.toml\"", "/nowhere/keys.toml (access.keys_file)"),
        ("access.auth = \"required\"", "access.auth"),
        ("access.keys.shop = { scopes = [], sha256 = \"00\" }", "access.keys.shop"),
        ("access.jwt.jwks_file = \"/x\"", "access.jwt.issuer"),
    ] {
        let config = settings(folder.path(), 0, more);
        let output = plugrank(&["serve", "--config"]).arg(config).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{more}: {}", stderr(&output));
        assert!(stderr(&output).contains(named), "{more}: {}", stderr(&output));
    }
}
