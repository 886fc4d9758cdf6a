//! Every role is replaced, one process after the other.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::load::Load;
use crate::fleet::{Fleet, Process, peers};

#[tokio::test]
async fn every_role_is_restarted_one_process_after_the_other() {
    let fleet = Fleet::start().await;
    let two = async |role, peers: &str| -> [Process; 2] {
        let processes = [(); 2].map(|()| fleet.spawn(role, peers));
        for process in &processes {
            process.ready(&fleet.http).await;
        }
        processes
    };
    let mut embedding = two("embedding", "").await;
    let near = peers(&[&embedding[0], &embedding[1]]);
    let mut retrieval = two("retrieval", &near).await;
    let mut scoring = two("scoring", &near).await;
    let mut reranking = two("reranking", &near).await;
    let parts = [&embedding, &retrieval, &scoring, &reranking];
    let all: Vec<&Process> = parts.into_iter().flatten().collect();
    let mut gateway = two("gateway", &peers(&all)).await;

    let load = Load::within(4000, &[gateway[0].url(""), gateway[1].url("")]);
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    for turn in 0..2 {
        let roles = [&mut embedding, &mut retrieval, &mut scoring, &mut reranking, &mut gateway];
        for role in roles {
            let process = &mut role[turn];
            let asked = Instant::now();
            assert_eq!(process.terminate().await, Some(0), "{}", process.role);
            let ended = asked.elapsed();
            process.restart();
            process.ready(&fleet.http).await;
            println!(
                "  {} ended in {ended:?}, ready {:?} after it was asked to end",
                process.role,
                asked.elapsed()
            );
        }
    }
    let restarted = Instant::now();
    let meanwhile = load.since(begun);
    let took = load.recovered(restarted).await;
    println!(
        "ten processes restarted in {:?}: {meanwhile}; recovered in {took:?}",
        restarted - begun
    );
    meanwhile.assert_ranked();
    load.end().await;
}
