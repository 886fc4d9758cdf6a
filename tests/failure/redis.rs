//! The store behind the roles fails.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{load::Load, proxy::Proxy};
use crate::fleet::{Cluster, Fleet, Process};

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
    // Popular items are available.
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
    assert!(retrieval_share(&site).await < 0.7, "waiting leaves no time for an answer");
    line.mend();
    let took = load.recovered(Instant::now()).await;
    println!("Redis quick again: recovered in {took:?}");
    load.end().await;
}

/// How much of its time retrieval used: the median of a few requests.
async fn retrieval_share(site: &Process) -> f64 {
    let http = reqwest::Client::new();
    let mut shares = Vec::new();
    for user in 1..=5 {
        let body = json!({"user_id": format!("u{user}"), "budget_ms": 2000});
        let answer = http.post(site.url("/v1/rank")).json(&body).send().await.unwrap();
        let reply: Value = answer.json().await.unwrap();
        let stage = &reply["budget"]["stages"][0];
        assert_eq!(stage["stage"], "retrieval", "{reply}");
        let ms = |key: &str| stage[key].as_f64().unwrap();
        shares.push(ms("spent_ms") / ms("allotted_ms"));
    }
    shares.sort_by(f64::total_cmp);
    shares[2]
}

#[tokio::test]
async fn one_master_of_a_cluster_is_lost() {
    let mut cluster = Cluster::loaded().await;
    let site = cluster.spawn_all("");
    site.ready(&reqwest::Client::new()).await;
    let load = Load::start(&[site.url("")]);
    sleep(Duration::from_millis(1500)).await;
    let broken = Instant::now();
    let dead = cluster.kill_a_master();
    cluster.replaced(dead).await;
    let replaced = Instant::now();
    let meanwhile = load.since(broken);
    println!("one of three masters killed, replaced after {:?}: {meanwhile}", replaced - broken);
    // A third of the users' histories cannot be read until then.
    meanwhile.assert_ranked();
    assert!(meanwhile.degraded > 0);
    let took = load.recovered(replaced).await;
    println!("a replica has taken over: recovered in {took:?}");
    // Until a replica follows the new master, its users' events are refused.
    cluster.restart(dead).await;
    sleep(Duration::from_secs(1)).await;
    load.end().await;
}
