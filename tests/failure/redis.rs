//! The store behind the roles fails.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{load::Load, proxy::Proxy};
use crate::fleet::Fleet;

#[tokio::test]
async fn redis_is_killed_and_restarted() {
    let mut fleet = Fleet::start().await;
    let site = fleet.start_role("all", "").await;
    let load = Load::start(&[site.url("")]);
    sleep(Duration::from_millis(1500)).await;
    let broken = Instant::now();
    fleet.redis.kill();
    sleep(Duration::from_secs(2)).await;
    let meanwhile = load.since(broken);
    fleet.redis.restart().await;
    let took = load.recovered(Instant::now()).await;
    println!("Redis killed and restarted: {meanwhile}; recovered in {took:?}");
    // Popular items are at hand.
    meanwhile.assert_ranked();
    assert!(meanwhile.degraded > 0, "without a store nobody's history can be read");
    load.end().await;
}

#[tokio::test]
async fn redis_is_slow_and_then_stops_answering() {
    let mut fleet = Fleet::start().await;
    let line = Proxy::to(fleet.redis.port).await;
    fleet.redis_port = line.port;
    let site = fleet.start_role("all", "").await;
    let load = Load::start(&[site.url("")]);
    sleep(Duration::from_millis(1500)).await;
    for late in [5, 20, 100, 800] {
        let broken = Instant::now();
        line.slow(Duration::from_millis(late));
        sleep(Duration::from_millis(1500)).await;
        let meanwhile = load.since(broken);
        println!("Redis slowed by {late} ms each way: {meanwhile}");
        meanwhile.assert_ranked();
        assert!(meanwhile.degraded > 0 || late < 800);
    }
    let broken = Instant::now();
    line.cut();
    sleep(Duration::from_secs(2)).await;
    let meanwhile = load.since(broken);
    println!("Redis stopped answering: {meanwhile}");
    meanwhile.assert_ranked();
    assert!(meanwhile.degraded > 0);
    line.mend();
    let took = load.recovered(Instant::now()).await;
    println!("Redis quick again: recovered in {took:?}");
    load.end().await;
}
