//! Ids with line breaks, terminal escapes or invalid UTF-8: no log injection, and no two ids that are one.

use std::fs;

use reqwest::{Client, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    e2e::site::{loaded, settings},
    fleet::{Process, free_port},
};

const FORGED: &str = "2026-01-01T00:00:00.000000Z  INFO forged: all is well";

/// A server of the shop that logs all it can, in a form.
async fn start(folder: &TempDir, form: &str) -> (Process, std::path::PathBuf) {
    let (port, http) = (free_port(), Client::new());
    fs::copy(loaded().join("store.redb"), folder.path().join("store.redb")).unwrap();
    let more = format!(
        "telemetry.log_format = \"{form}\"\n\
         telemetry.log_level = \"info,plugrank=trace,plugrank_gateway=trace\"\n"
    );
    let config = settings(folder.path(), port, &more);
    let process = Process::start("all", port, config.clone());
    process.ready(&http).await;
    (process, config.with_extension("log"))
}

#[tokio::test]
async fn a_line_break_or_an_escape_in_an_id_forges_no_log_line() {
    for form in ["text", "json"] {
        let folder = TempDir::new().unwrap();
        let ((mut process, log), http) = (start(&folder, form).await, Client::new());
        let id = format!("i1\n{FORGED}\r\u{1b}[2J\u{9b}31m");
        let escaped = |byte: u8| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02x}"),
        };
        let in_path: String = id.bytes().map(escaped).collect();
        let item = json!({"title": id, "categories": [id], "features": {"brand": id}});
        let put = http.put(process.url(&format!("/v1/items/{in_path}"))).json(&item).send().await;
        assert_eq!(put.unwrap().status(), StatusCode::CREATED);
        let event = json!({"event_id": id, "type": "click", "user_id": id, "item_id": id});
        let wrong = json!({"event_id": id, "type": id, "user_id": id, "item_id": id});
        let rank = json!({"user_id": id, "candidates": [id, "i1"], "exclude": [id]});
        for (path, body) in [
            ("/v1/events", json!({"events": [event, wrong]})),
            ("/v1/rank", rank.clone()),
            ("/v1/rank", json!({"user_id": id, "surface": id})),
            ("/v1/models", json!({"path": id})),
        ] {
            http.post(process.url(path)).json(&body).send().await.unwrap();
        }
        for path in ["/v1/users/", "/v1/experiments/", "/v1/models/", "/"] {
            http.delete(process.url(&format!("{path}{in_path}"))).send().await.unwrap();
        }
        // What headers may hold: no line break, but an escape by its UTF-8 form.
        let header = format!("\u{9b}2J {FORGED}");
        let request = http.post(process.url("/v1/rank")).json(&rank);
        let request = request.header("user-agent", header.as_bytes());
        request.header("x-request-id", header.as_bytes()).send().await.unwrap();
        assert_eq!(process.terminate().await, Some(0));

        let text = fs::read_to_string(&log).unwrap();
        let about: Vec<&str> = text.lines().filter(|line| line.contains("forged")).collect();
        assert!(!about.is_empty(), "nothing of it was logged: {text}");
        assert!(!text.lines().any(|line| line.starts_with(FORGED)), "{form}: {about:?}");
        let control = text.chars().find(|letter| letter.is_control() && *letter != '\n');
        assert_eq!(control, None, "{form}: {about:?}");
        if form == "json" {
            for line in text.lines() {
                assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn ids_that_are_not_utf8_are_refused_and_never_conflated() {
    let folder = TempDir::new().unwrap();
    let ((process, _), http) = (start(&folder, "text").await, Client::new());
    for id in ["%ff", "%fe", "a%c3", "%ed%a0%80"] {
        for path in ["/v1/items/", "/v1/users/"] {
            let url = process.url(&format!("{path}{id}"));
            let body = json!({"title": "t"});
            for request in [http.get(&url), http.put(&url).json(&body), http.delete(&url)] {
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{url}");
                let told = answer.text().await.unwrap();
                assert!(told.contains("UTF-8"), "{told}");
            }
        }
    }
    // The replacement character is an id like any other.
    let url = process.url("/v1/items/%ef%bf%bd");
    let put = http.put(&url).json(&json!({"title": "t"})).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
}
