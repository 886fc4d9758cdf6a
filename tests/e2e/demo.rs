//! `plugrank demo`: the shop without settings, and again.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{plugrank, repository, stderr};
use crate::fleet::free_port;

struct Demo {
    child: Child,
    port: u16,
    said: String,
}

fn command(state: &Path, port: u16) -> Command {
    let mut command = plugrank(&["demo", "--port", &port.to_string(), "--shop"]);
    command.arg(repository("models/simshop")).arg("--state").arg(state);
    command
}

impl Demo {
    /// Starts it and waits until it has said where it serves.
    fn start(state: &Path, more: &[&str]) -> Self {
        let port = free_port();
        let out = state.join("said.txt");
        let said = fs::File::create(&out).unwrap();
        let mut command = command(state, port);
        let mut child = command.args(more).stdout(Stdio::from(said)).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let said = fs::read_to_string(&out).unwrap();
            if said.contains("Ctrl-C ends it") {
                return Self { child, port, said };
            }
            assert!(child.try_wait().unwrap().is_none(), "it ended: {said}");
            assert!(Instant::now() < deadline, "it was not ready in time: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = Client::new().post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{body} -> {}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Entries of the history that a ranking for `user` reads.
    async fn history(&self, user: &str) -> u64 {
        let ask = json!({"user_id": user, "k": 5, "budget_ms": 1000});
        let reply = self.post("/v1/rank", ask).await;
        assert_eq!(reply["items"].as_array().unwrap().len(), 5, "{reply}");
        reply["coverage"]["history"].as_u64().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_second_run_finds_the_shop_and_its_clicks() {
    let state = TempDir::new().unwrap();
    let first = Demo::start(state.path(), &[]);
    assert!(first.said.contains("Loading the shop"), "{}", first.said);
    assert!(first.said.contains("simshop-7 (1500 items, 500 users)"), "{}", first.said);
    assert!(first.history("u1").await > 0, "the shop's users have clicked");
    assert_eq!(first.history("nobody").await, 0);
    let click = json!({"event_id": "1", "type": "click", "user_id": "nobody", "item_id": "i1"});
    first.post("/v1/events", json!({"events": [click]})).await;
    drop(first);

    let second = Demo::start(state.path(), &[]);
    assert!(!second.said.contains("Loading"), "{}", second.said);
    assert_eq!(second.history("nobody").await, 1);
    drop(second);

    let fresh = Demo::start(state.path(), &["--fresh"]);
    assert!(fresh.said.contains("Loading the shop"), "{}", fresh.said);
    assert_eq!(fresh.history("nobody").await, 0);
}

#[test]
fn each_error_is_printed_once() {
    let state = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = command(state.path(), port).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("choose another port with --port"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");

    // An error after logging has started.
    let config = super::site::settings(state.path(), 0, "");
    fs::write(state.path().join("store.redb"), "this is no store, but long enough").unwrap();
    let output = plugrank(&["serve", "--config"]).arg(config).output().unwrap();
    let message = stderr(&output);
    assert!(!output.status.success());
    assert_eq!(message.matches("store.redb").count(), 1, "{message}");
}
