//! The wall clock jumps while requests run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;

use crate::e2e::site::Site;

const DAY_MS: i64 = 86_400_000;

/// The library that fakes the clock of a process.
fn libfaketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    libraries
        .into_iter()
        .find(|library| library.is_file())
        .expect("libfaketime is installed (Debian: apt-get install libfaketime)")
}

/// Runs a command by a wall clock that is ahead by what `offset` says. Time that only measures
/// spans goes on as it is, as when somebody sets the clock.
fn by_another_clock(mut command: Command, offset: &Path) -> Command {
    command.env("LD_PRELOAD", libfaketime());
    command.env("FAKETIME_TIMESTAMP_FILE", offset).env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

#[tokio::test]
async fn clock_jumps_do_not_affect_budgets() {
    let folder = TempDir::new().unwrap();
    let offset = folder.path().join("offset");
    fs::write(&offset, "+0").unwrap();
    let site = Site::start_as("", |command| by_another_clock(command, &offset)).await;
    let mut event = 0;
    for jump in ["+0", "-3d", "+0", "+2d"] {
        fs::write(&offset, jump).unwrap();
        for user in 1..=10 {
            let reply = site.rank(json!({"user_id": format!("u{user}"), "k": 10})).await;
            assert_eq!(reply["rung"], "full", "{jump}: {reply}");
            let (total, spent) = (&reply["budget"]["total_ms"], &reply["budget"]["spent_ms"]);
            assert!(spent.as_f64() < total.as_f64(), "{jump}: {reply}");
        }
        event += 1;
        let click = json!({"event_id": format!("jump-{event}"), "type": "click", "user_id": "jumper", "item_id": "i1"});
        let (status, reply) = site.post_json("/v1/events", &json!({"events": [click]})).await;
        assert_eq!(
            (status, reply["results"][0]["status"].as_str()),
            (202, Some("accepted")),
            "{jump}: {reply}"
        );
    }
    // The clock really was changed in between.
    let (_, known) = site.get("/v1/users/jumper").await;
    let mut moments: Vec<i64> = known["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["timestamp"].as_i64().unwrap())
        .collect();
    moments.sort_unstable();
    let apart = moments[moments.len() - 1] - moments[0];
    assert!(apart > 4 * DAY_MS, "{known}");
}
