//! Failover of a master while events are written.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use plugrank_contract::{Event, EventType, ItemId};
use plugrank_store::{
    Store,
    contract_tests::{
        fixtures::{event, ids},
        run,
    },
};
use plugrank_store_redis::{RedisConnection, RedisOptions, RedisStore};

use tempfile::TempDir;

use crate::{
    cluster::RedisCluster,
    server::{RedisServer, wait_until},
};

/// Longest time without a confirmed write. Sentinel and Cluster need a few seconds; the rest is for
/// a machine so busy that the new master, too, seems to be down for a while.
const GAP: Duration = Duration::from_secs(60);

/// Every write is on a replica before it is confirmed.
fn options() -> RedisOptions {
    RedisOptions { replicas: 1, ..RedisOptions::default() }
}

/// With few connections, so that several calls share one.
fn few(servers: RedisConnection) -> RedisConnection {
    RedisConnection { pool: 4, timeout_ms: 1000, ..servers }
}

/// Writes events of ever new users, one after the other, each repeated until it is confirmed.
struct Writer {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Written>,
}

struct Written {
    events: Vec<Event>,
    /// Longest wait for a confirmation.
    longest: Duration,
    failures: usize,
}

impl Writer {
    fn start(store: Arc<RedisStore>, name: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut written = Written { events: Vec::new(), longest: Duration::ZERO, failures: 0 };
            while !stopped.load(Ordering::Relaxed) {
                let number = written.events.len();
                let id = format!("{name}-{number}");
                let event = Event { user_id: id.as_str().into(), ..event(&id, EventType::click()) };
                let begun = Instant::now();
                written.failures += append(&store, std::slice::from_ref(&event)).await.1;
                written.longest = written.longest.max(begun.elapsed());
                written.events.push(event);
            }
            written
        });
        Self { stop, task }
    }

    async fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Appends, repeating until it is confirmed; which were new, and how often it failed.
async fn append(store: &RedisStore, events: &[Event]) -> (Vec<bool>, usize) {
    let (begun, mut failures) = (Instant::now(), 0);
    loop {
        match store.append_events(events.to_vec()).await {
            Ok(new) => return (new, failures),
            Err(error) => assert!(begun.elapsed() < GAP, "no write for {GAP:?}: {error}"),
        }
        failures += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Writes while `harm` runs and shortly after it, then checks that every confirmed event is stored. `harm`
/// returns the servers, which are needed until the end.
async fn nothing_is_lost<S: Send + 'static>(
    store: RedisStore,
    harm: impl FnOnce() -> S + Send + 'static,
) {
    let store = Arc::new(store);
    let writers: Vec<Writer> = (0..4).map(|name| Writer::start(Arc::clone(&store), name)).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let servers = tokio::task::spawn_blocking(harm).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut total, mut failures, mut longest) = (0, 0, Duration::ZERO);
    for writer in writers {
        let written = writer.stop().await;
        total += written.events.len();
        failures += written.failures;
        longest = longest.max(written.longest);
        for event in &written.events {
            let history = store.history(&event.user_id, i64::MAX, 10, 10).await.unwrap();
            assert_eq!(history.entries.len(), 1, "lost: {event:?}");
        }
        for events in written.events.chunks(100) {
            // Repeated: the other replica may still be connecting to the new master.
            assert!(!append(&store, events).await.0.contains(&true));
        }
    }
    println!("{total} events, {failures} failed calls, longest wait {longest:?}");
    assert!(
        failures > 0 || longest > Duration::from_millis(300),
        "the failover affected no call, so nothing was tested"
    );
    // Counted once each, however often they were repeated.
    let stats = store.item_stats(&ids(&["i"])).await.unwrap()[0];
    assert_eq!((stats.impressions, stats.clicks), (total as u64, total as u64));
    drop(servers);
}

#[test]
fn a_cluster_that_loses_a_master_loses_no_event() {
    run(async {
        let mut cluster = RedisCluster::start();
        let store = RedisStore::connect(&few(cluster.servers()), options()).await.unwrap();
        nothing_is_lost(store, move || {
            let dead = cluster.kill_a_master();
            cluster.wait_until_replaced(dead);
            // As an orchestrator would; it comes back as a replica.
            cluster.nodes[dead].restart();
            cluster.wait_until_whole();
            cluster
        })
        .await;
    });
}

/// Hundreds of commands are under way when the slots move, and each read goes to all of them.
#[test]
fn reads_of_many_slots_survive_a_failover() {
    run(async {
        let cluster = RedisCluster::start();
        let store = RedisStore::connect(&few(cluster.servers()), options()).await.unwrap();
        let (store, stop) = (Arc::new(store), Arc::new(AtomicBool::new(false)));
        let readers: Vec<_> =
            (0..4).map(|_| tokio::spawn(read_all(Arc::clone(&store), Arc::clone(&stop)))).collect();
        let cluster = tokio::task::spawn_blocking(move || {
            cluster.hand_over();
            cluster
        })
        .await
        .unwrap();
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.await.unwrap() > 0);
        }
        drop(cluster);
    });
}

/// Reads in every slot until it is told to stop; how often.
async fn read_all(store: Arc<RedisStore>, stop: Arc<AtomicBool>) -> usize {
    let all: Vec<ItemId> = (0..2000).map(|number| ItemId::from(format!("i{number}"))).collect();
    let mut times = 0;
    while !stop.load(Ordering::Relaxed) {
        store.item_stats(&all).await.expect("an answer, whichever server is the master");
        times += 1;
    }
    times
}

#[test]
fn a_failover_by_sentinel_loses_no_event() {
    let data = ["--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0"];
    let mut master = RedisServer::start_with(&data);
    let port = master.port().to_string();
    let follow = [&data[..], &["--replicaof", "127.0.0.1", &port]].concat();
    let replicas: Vec<RedisServer> = (0..2).map(|_| RedisServer::start_with(&follow)).collect();
    wait_until("the replicas follow", || {
        replicas.iter().all(|one| one.ask(&["INFO", "replication"]).contains("link_status:up"))
    });
    let dir = tempfile::tempdir().unwrap();
    let sentinel = sentinel_of(&master, &dir);
    wait_until("the Sentinel knows the replicas", || {
        sentinel.ask(&["INFO", "sentinel"]).contains("slaves=2")
    });
    run(async {
        let servers = few(RedisConnection::sentinel(vec![sentinel.url()], "main"));
        let store = RedisStore::connect(&servers, options()).await.unwrap();
        nothing_is_lost(store, move || {
            master.kill();
            wait_until("another master", || {
                let masters = replicas.iter().filter(|one| one.ask(&["ROLE"]).contains("master"));
                let followed =
                    |one: &RedisServer| one.ask(&["INFO", "replication"]).contains("slaves:1");
                masters.filter(|one| followed(one)).count() == 1
            });
            (sentinel, replicas)
        })
        .await;
    });
}

fn sentinel_of(master: &RedisServer, dir: &TempDir) -> RedisServer {
    let file = dir.path().join("sentinel.conf");
    let lines = [
        format!("sentinel monitor main 127.0.0.1 {} 1", master.port()),
        "sentinel down-after-milliseconds main 2000".to_owned(),
        "sentinel failover-timeout main 2000".to_owned(),
        "sentinel parallel-syncs main 2".to_owned(),
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    RedisServer::start_with(&[file.to_str().unwrap(), "--sentinel"])
}
