//! The server that runs the unified model is killed, or paused (SIGSTOP).

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::load::Load;
use crate::{
    e2e::site::{Site, repository},
    fleet::ModelServer,
};

/// Little work a request: MLServer reads numbers as text.
const SETTINGS: &str = "scoring.candidate_buckets = [32]\nscoring.user_buckets = [1, 2]\nscoring.workers = 2\nretrieval.limit = 30\n";
/// What waits for a server that is paused waits for most of it.
const BUDGET_MS: u32 = 1500;

#[tokio::test(flavor = "multi_thread")]
async fn the_model_server_is_killed_and_paused() {
    let http = reqwest::Client::new();
    let mut server = ModelServer::spawn(&repository("models/simshop/bundle/unified.onnx"));
    server.ready(&http).await;
    let site = Site::start_with(&format!("{SETTINGS}{}", server.settings())).await;
    let load = Load::within(BUDGET_MS, &[site.url("")]);
    sleep(Duration::from_secs(1)).await;
    let before = load.since(Instant::now() - Duration::from_secs(1));
    println!("before: {before}");
    assert_eq!(before.degraded, 0, "{before}");

    let broken = Instant::now();
    server.kill();
    sleep(Duration::from_millis(1500)).await;
    let killed = load.since(broken);
    println!("killed: {killed}");
    killed.assert_ranked();
    assert!(killed.degraded > 0);
    assert!(killed.why.contains("\"idrec\""), "{killed}");
    server.restart();
    server.ready(&http).await;
    let took = load.recovered(Instant::now()).await;
    println!("restarted: recovered in {took:?}");

    let broken = Instant::now();
    server.pause();
    sleep(Duration::from_secs(4)).await;
    let paused = load.since(broken);
    println!("paused: {paused}");
    paused.assert_ranked();
    // After the first few it is known that waiting does not help.
    let later = load.since(broken + Duration::from_millis(2500));
    println!("2.5 s later: {later}");
    assert!(later.degraded > 0 && later.why.contains("\"idrec\""), "{later}");
    server.resume();
    let took = load.recovered(Instant::now()).await;
    println!("resumed: recovered in {took:?}");
    load.end().await;
}
