//! Redis down, hanging, restarted, full, or of another version.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_contract::EventType;
use plugrank_store::{
    Store, StoreError,
    contract_tests::{
        fixtures::{event, ids, new_item},
        run,
    },
};
use plugrank_store_redis::{RedisConnection, RedisOptions, RedisStore};

use crate::server::RedisServer;

/// A script that deletes what was counted of items.
const FORGET_COUNTS: &str = "for _, kind in ipairs({'stats', 'counted'}) do \
    redis.call('DEL', unpack(redis.call('KEYS', 'plugrank:' .. kind .. ':*'))) end \
    return redis.status_reply('OK')";
const CALL: Duration = Duration::from_millis(300);

fn quick(servers: RedisConnection) -> RedisConnection {
    RedisConnection { timeout_ms: CALL.as_millis() as u64, ..servers }
}

async fn connect(server: &RedisServer) -> Result<RedisStore, StoreError> {
    RedisStore::connect(&quick(server.servers()), RedisOptions::default()).await
}

/// The message of an error that must be `Unavailable` and must have come in time.
async fn unavailable(store: &RedisStore) -> String {
    let started = Instant::now();
    let error = store.items(&ids(&["a"])).await.unwrap_err();
    // Twice the time, for a busy machine.
    assert!(started.elapsed() < 2 * CALL, "{:?}", started.elapsed());
    match error {
        StoreError::Unavailable(message) => message,
        other => panic!("{other}"),
    }
}

#[test]
fn a_stopped_server_is_unavailable_and_reconnected() {
    run(async {
        let mut server = RedisServer::start();
        let store = connect(&server).await.unwrap();
        store.put_items(vec![new_item("a")]).await.unwrap();
        store.append_events(vec![event("1", EventType::click())]).await.unwrap();

        server.kill();
        let message = unavailable(&store).await;
        assert!(message.contains(server.url().trim_start_matches("redis://")), "{message}");
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
        let refused = store.append_events(vec![event("2", EventType::click())]).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));

        server.restart();
        store.ping().await.unwrap();
        assert!(store.items(&ids(&["a"])).await.unwrap()[0].is_some());
        // The restarted server has forgotten the scripts; what was confirmed it has not.
        let batch = vec![event("1", EventType::click()), event("2", EventType::click())];
        assert_eq!(store.append_events(batch).await.unwrap(), [false, true]);
    });
}

#[test]
fn a_hanging_server_times_out_and_is_reconnected() {
    run(async {
        let server = RedisServer::start();
        let store = connect(&server).await.unwrap();
        store.put_items(vec![new_item("a")]).await.unwrap();
        server.signal("STOP");
        unavailable(&store).await;
        unavailable(&store).await;
        server.signal("CONT");
        assert!(store.items(&ids(&["a"])).await.unwrap()[0].is_some());
    });
}

#[test]
fn more_callers_than_connections_are_all_answered() {
    run(async {
        let server = RedisServer::start();
        let few = RedisConnection { pool: 2, ..server.servers() };
        let store = RedisStore::connect(&few, RedisOptions::default()).await;
        let store = Arc::new(store.unwrap());
        store.put_items(vec![new_item("a")]).await.unwrap();
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.items(&ids(&["a"])).await.unwrap()[0].is_some() })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap());
        }
    });
}

#[test]
fn an_unreachable_server_and_an_invalid_url_are_named() {
    run(async {
        let mut server = RedisServer::start();
        server.kill();
        let error = connect(&server).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(m) if m.contains("127.0.0.1")), "{error}");
        let secret = "htp://user:s3cret@host";
        let wrong = RedisConnection::single(secret);
        let error = RedisStore::connect(&wrong, RedisOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains("redis://"), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    });
}

#[test]
fn namespaces_are_separate_and_other_versions_refused() {
    run(async {
        let server = RedisServer::start();
        let named =
            |namespace: &str| RedisOptions { namespace: namespace.into(), ..Default::default() };
        let servers = quick(server.servers());
        let a = RedisStore::connect(&servers, named("a")).await.unwrap();
        let b = RedisStore::connect(&servers, named("b")).await.unwrap();
        a.put_items(vec![new_item("x")]).await.unwrap();
        assert_eq!(b.item_count().await.unwrap(), 0);
        assert_eq!(b.items(&ids(&["x"])).await.unwrap(), [None]);

        server.command(&["SET", "b:schema:", "7"]);
        let error = RedisStore::connect(&servers, named("b")).await.unwrap_err();
        let StoreError::Corrupt(message) = error else { panic!("{error}") };
        assert!(message.contains("version 7") && message.contains("namespace"), "{message}");

        let keys = server.ask(&["KEYS", "a:item:*"]);
        let key = keys.lines().find(|line| line.starts_with("a:item:")).unwrap();
        server.command(&["SET", key, "rubbish"]);
        let error = a.items(&ids(&["x"])).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    });
}

#[test]
fn a_write_to_a_full_server_changes_nothing_and_later_writes_succeed() {
    run(async {
        let server = RedisServer::start();
        let store = connect(&server).await.unwrap();
        store.append_events(vec![event("1", EventType::click())]).await.unwrap();
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        let error = store.append_events(vec![event("2", EventType::click())]).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(m) if m.contains("memory")), "{error}");
        assert!(store.put_items(vec![new_item("a")]).await.is_err());
        let before = store.item_stats(&ids(&["i"])).await.unwrap();
        assert_eq!(before[0].clicks, 1);
        assert_eq!(store.item_count().await.unwrap(), 0);
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(
            store.append_events(vec![event("2", EventType::click())]).await.unwrap(),
            [true]
        );
    });
}

#[test]
fn an_interrupted_append_is_completed_by_a_retry() {
    run(async {
        let server = RedisServer::start();
        let store = connect(&server).await.unwrap();
        assert_eq!(
            store.append_events(vec![event("1", EventType::click())]).await.unwrap(),
            [true]
        );
        // As if the process had died between the user's keys and the item's.
        for kind in ["stats", "counted"] {
            let keys = server.ask(&["KEYS", &format!("plugrank:{kind}:*")]);
            assert!(keys.starts_with("*1"), "{keys}");
        }
        server.command(&["EVAL", FORGET_COUNTS, "0"]);
        assert_eq!(store.item_stats(&ids(&["i"])).await.unwrap()[0].clicks, 0);
        for _ in 0..2 {
            assert_eq!(
                store.append_events(vec![event("1", EventType::click())]).await.unwrap(),
                [false]
            );
            let stats = store.item_stats(&ids(&["i"])).await.unwrap()[0];
            assert_eq!((stats.impressions, stats.clicks), (1, 1));
        }
    });
}
