//! Vectors on a real Redis 8, alone and as a cluster.

use std::{process::Command, time::Duration};

use plugrank_contract::ItemId;
use plugrank_store::{
    ItemVector,
    contract_tests::{fixtures::ids, run},
};
use plugrank_store_redis::{RedisConnection, VectorSetOptions, VectorSets};

use crate::server::{RedisServer, wait_until};

const EXACT: VectorSetOptions = VectorSetOptions {
    shards: 5,
    int8: false,
    exact: true,
    connectivity: 16,
    expansion_add: 128,
    expansion_search: 128,
};

fn redis8(args: &[&str]) -> RedisServer {
    let program = std::env::var("REDIS8_SERVER")
        .expect("REDIS8_SERVER is not set; run these tests with `cargo xtask test rust`");
    RedisServer::start_program(&program, args)
}

/// Vectors that point in different directions, without chance.
fn vector(number: usize) -> Vec<f32> {
    let element = |place: usize| ((number * 37 + place * 101 + 1) as f32).sin();
    (0..16).map(element).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn item(number: usize) -> ItemVector {
    let id = ItemId::from(format!("i{number}"));
    ItemVector { id, vector: vector(number), available: !number.is_multiple_of(7) }
}

async fn check_nearest_neighbours(servers: &RedisConnection) {
    let sets = |options| VectorSets::new(servers, options).unwrap();
    let exact = sets(EXACT);
    let items: Vec<ItemVector> = (0..600).map(item).collect();
    exact.put("b1", &items).await.unwrap();
    exact.put("b1", &items[..20]).await.unwrap();
    assert_eq!(exact.count("b1").await.unwrap(), 600, "replaced, not doubled");
    exact.remove("b1", &ids(&["i1", "never"])).await.unwrap();
    assert_eq!((exact.count("b1").await.unwrap(), exact.count("b2").await.unwrap()), (599, 0));
    let truth = |query: &[f32], count: usize| -> Vec<ItemId> {
        let mut all: Vec<_> = items
            .iter()
            .filter(|item| item.available && item.id.as_str() != "i1")
            .map(|item| (cosine(query, &item.vector), item.id.clone()))
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.into_iter().take(count).map(|(_, id)| id).collect()
    };
    let queries: Vec<Vec<f32>> = (1_000..1_020).map(vector).collect();
    let wanted: Vec<(&[f32], usize)> = queries.iter().map(|query| (&query[..], 50)).collect();
    let found = exact.searches("b1", &wanted).await.unwrap();
    for (query, found) in queries.iter().zip(found) {
        let ids: Vec<ItemId> = found.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids, truth(query, 50));
        assert!(
            (found[0].1 * 2.0 - 1.0 - cosine(query, &items[number(&ids[0])].vector)).abs() < 1e-4
        );
    }
    let read = exact.vectors("b1", &ids(&["i2", "i1", "i14"])).await.unwrap();
    assert!(read[1].is_none() && cosine(read[0].as_ref().unwrap(), &vector(2)) > 0.9999);
    assert!(read[2].is_some(), "whether it is shown or not");
    let other = [ItemVector { vector: vec![1.0; 3], ..item(3) }];
    assert!(exact.put("b1", &other).await.is_err(), "of another size");
    assert_eq!(exact.search("nothing", &vector(1), 5).await.unwrap(), []);

    // The graph, and elements of 8 bits: near is what is near, as good as always.
    for (space, int8) in [("graph", false), ("small", true)] {
        let sets = sets(VectorSetOptions { int8, exact: false, ..EXACT });
        sets.put(space, &items).await.unwrap();
        sets.remove(space, &ids(&["i1"])).await.unwrap();
        let mut hits = 0;
        for (query, found) in queries.iter().zip(sets.searches(space, &wanted).await.unwrap()) {
            let truth = truth(query, 50);
            hits += found.iter().filter(|(id, _)| truth.contains(id)).count();
        }
        let recall = hits as f64 / (50 * queries.len()) as f64;
        println!("recall@50 {space}: {recall}");
        assert!(recall > 0.95, "{space}: {recall}");
    }

    assert_eq!(exact.state("b1").await.unwrap(), None);
    exact.set_state("b1", b"said", Duration::from_secs(60)).await.unwrap();
    assert_eq!(exact.state("b1").await.unwrap().as_deref(), Some(&b"said"[..]));
    let lease = |who: &'static str| exact.lease("b1", who, Duration::from_millis(300));
    assert!(lease("a").await.unwrap() && lease("a").await.unwrap());
    assert!(!lease("b").await.unwrap());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(lease("b").await.unwrap(), "when it has ended");
    exact.expire("b1", Duration::from_secs(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(exact.count("b1").await.unwrap(), 0);
}

fn number(id: &ItemId) -> usize {
    id.as_str()[1..].parse().unwrap()
}

#[test]
fn one_server_finds_nearest_neighbours() {
    let server = redis8(&["--save", ""]);
    run(check_nearest_neighbours(&server.servers()));
}

#[test]
fn a_cluster_finds_nearest_neighbours() {
    let args = ["--save", "", "--cluster-enabled", "yes", "--cluster-config-file", "{dir}/nodes"];
    let nodes: Vec<RedisServer> = (0..3).map(|_| redis8(&args)).collect();
    let created = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(nodes.iter().map(RedisServer::address))
        .arg("--cluster-yes")
        .output()
        .unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
    wait_until("the cluster is whole", || {
        nodes.iter().all(|node| node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
    });
    run(check_nearest_neighbours(&RedisConnection::cluster(vec![nodes[0].url()])));
}
