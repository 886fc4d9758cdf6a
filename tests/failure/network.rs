//! A network partition between two roles: connections stay, and nothing arrives.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{load::Load, proxy::Proxy};
use crate::fleet::{Fleet, peers};

#[tokio::test]
async fn the_network_between_two_roles_is_cut() {
    let fleet = Fleet::start().await;
    let embedding = fleet.start_role("embedding", "").await;
    let scoring = fleet.start_role("scoring", &peers(&[&embedding])).await;
    let line = Proxy::to(scoring.port).await;
    let far = format!("peers.scoring_url = \"http://127.0.0.1:{}\"\n", line.port);
    let gateway = fleet.start_role("all", &format!("{}{far}", peers(&[&embedding]))).await;
    let load = Load::start(&[gateway.url("")]);
    sleep(Duration::from_secs(1)).await;

    let broken = Instant::now();
    line.cut();
    sleep(Duration::from_secs(3)).await;
    let meanwhile = load.since(broken);
    line.mend();
    let took = load.recovered(Instant::now()).await;
    println!("the line to scoring cut: {meanwhile}; recovered in {took:?}");
    // Retrieval's order is available.
    meanwhile.assert_ranked();
    assert!(meanwhile.degraded > 0);
    load.end().await;
}
