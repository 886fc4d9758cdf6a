//! The disk under the embedded store is full.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::time::sleep;

use super::load::Load;
use crate::e2e::site::Site;

#[tokio::test]
async fn writes_are_refused_on_a_full_disk_and_recover() {
    // The signal that comes with the limit below is ignored, so that writing fails as it does on a
    // full disk.
    let site = Site::start_as("", |command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ && exec \"$0\" \"$@\""]).arg(command.get_program());
        shell.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    })
    .await;
    let load = Load::start(&[site.url("")]);
    sleep(Duration::from_secs(1)).await;

    // No file of this process may grow any more: what writing meets is what it meets on a full
    // disk.
    let pid = site.pid().to_string();
    let limit = |bytes: &str| {
        let file_size = format!("--fsize={bytes}:unlimited");
        let set = Command::new("prlimit").args(["--pid", &pid, &file_size]).status();
        assert!(set.is_ok_and(|status| status.success()), "prlimit is part of util-linux");
    };
    limit("1");
    let broken = Instant::now();
    let mut refused = None;
    for number in 0..200 {
        let item = json!({"title": "filler", "text": "x".repeat(40_000), "categories": []});
        let url = site.url(&format!("/v1/items/filler-{number}"));
        let answer = site.http.put(url).json(&item).send().await.unwrap();
        if answer.status().as_u16() == 503 {
            refused = Some(answer.text().await.unwrap());
            break;
        }
    }
    let refused = refused.expect("writing is refused");
    assert!(refused.contains("no room left"), "{refused}");
    sleep(Duration::from_secs(1)).await;
    let meanwhile = load.since(broken);
    println!("disk full: {meanwhile}");
    // Popular items are available.
    meanwhile.assert_ranked();

    limit("unlimited");
    let took = load.recovered(Instant::now()).await;
    let item = json!({"title": "fits", "text": "again", "categories": []});
    let answer = site.http.put(site.url("/v1/items/fits")).json(&item).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    println!("room again: recovered in {took:?}");
    load.end().await;
}
