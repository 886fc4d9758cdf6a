//! Commands at a terminal, against a running server.

use std::process::Output;

use serde_json::Value;

use super::site::{Site, plugrank, stderr};

async fn run(arguments: &[&str]) -> Output {
    let mut command = plugrank(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn rankings_are_printed_as_a_table_and_as_json() {
    let site = Site::start().await;
    let url = site.url("");
    let table = stdout(&run(&["rank", "u1", "-k", "3", "--url", &url]).await);
    assert!(table.contains("rung full, model simshop-7"), "{table}");
    let json = run(&["rank", "u1", "--candidates", "i1,none", "--json", "--url", &url]).await;
    let reply: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(reply["items"][0]["item_id"], "i1");
    assert_eq!(reply["coverage"]["unknown"], 1);
    // The table names each item by its title.
    let about = site.get("/v1/items/i1").await.1;
    let table = stdout(&run(&["rank", "u1", "--candidates", "i1", "--url", &url]).await);
    let title: String = about["title"].as_str().unwrap().chars().take(34).collect();
    assert!(table.contains(&title), "{table}");

    let refused = run(&["rank", "u1", "-k", "0", "--url", &url]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("400: k: "), "{}", stderr(&refused));

    let top = stdout(&run(&["top", "--times", "1", "--json", "--url", &url]).await);
    let figures: Value = serde_json::from_str(&top).unwrap();
    assert_eq!(figures["rankings"], 4.0, "{figures}");
    assert_eq!(figures["rungs"]["full"], 3.0, "{figures}");
    assert!(figures["p99_ms"].as_f64().unwrap() > 0.0, "{figures}");
    assert!(figures["stages_p99_ms"]["scoring"].as_f64().unwrap() > 0.0, "{figures}");
}

#[tokio::test]
async fn an_unreachable_server_is_an_error() {
    let output = run(&["rank", "u1", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no server answers at http://127.0.0.1:1"));
}

#[tokio::test]
async fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = stdout(&run(&["completions", shell]).await);
        for command in ["demo", "rank", "top", "validate"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
