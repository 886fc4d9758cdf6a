//! A process of a role is killed, or paused (SIGSTOP).

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::load::Load;
use crate::fleet::{Fleet, Process, peers};

/// A site with two processes that score.
struct Site {
    fleet: Fleet,
    scoring: [Process; 2],
    gateway: Process,
    _embedding: Process,
}

async fn site() -> Site {
    let fleet = Fleet::start().await;
    let embedding = fleet.start_role("embedding", "").await;
    let near = peers(&[&embedding]);
    let scoring = [(); 2].map(|()| fleet.spawn("scoring", &near));
    for process in &scoring {
        process.ready(&fleet.http).await;
    }
    let [a, b] = &scoring;
    let gateway = fleet.start_role("all", &peers(&[&embedding, a, b])).await;
    Site { fleet, scoring, gateway, _embedding: embedding }
}

#[tokio::test]
async fn a_process_is_killed() {
    let Site { fleet, scoring: [first, second], gateway, .. } = &mut site().await;
    let load = Load::start(&[gateway.url("")]);
    sleep(Duration::from_secs(1)).await;

    let broken = Instant::now();
    first.kill();
    sleep(Duration::from_millis(1500)).await;
    let took = load.recovered(broken).await;
    let one_left = load.since(broken);
    println!("one of two killed: {one_left}; full quality again after {took:?}");
    one_left.assert_ranked();

    let broken = Instant::now();
    second.kill();
    sleep(Duration::from_millis(1500)).await;
    let none_left = load.since(broken);
    println!("both killed: {none_left}");
    // Retrieval's order is available.
    none_left.assert_ranked();
    assert!(none_left.degraded > 0);
    second.restart();
    second.ready(&fleet.http).await;
    let took = load.recovered(Instant::now()).await;
    println!("one restarted: recovered in {took:?}");
    load.end().await;
}

#[tokio::test]
async fn a_process_is_paused() {
    let Site { scoring: [first, second], gateway, .. } = &site().await;
    let load = Load::start(&[gateway.url("")]);
    sleep(Duration::from_secs(1)).await;

    let broken = Instant::now();
    first.pause();
    sleep(Duration::from_millis(1500)).await;
    let took = load.recovered(broken).await;
    let one_left = load.since(broken);
    println!("one of two paused: {one_left}; full quality again after {took:?}");
    one_left.assert_ranked();

    let broken = Instant::now();
    second.pause();
    sleep(Duration::from_secs(2)).await;
    let none_left = load.since(broken);
    println!("both paused: {none_left}");
    // Retrieval's order is available.
    none_left.assert_ranked();
    assert!(none_left.degraded > 0);
    first.resume();
    second.resume();
    let took = load.recovered(Instant::now()).await;
    println!("both resumed: recovered in {took:?}");
    load.end().await;
}
