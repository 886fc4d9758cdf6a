//! Following the changes of a catalog in Redis.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use plugrank_store::{
    Store,
    changes::Next,
    contract_tests::{
        AnyStore, every_change_is_followed_from_any_position, fixtures::new_item, follow, run,
    },
};
use plugrank_store_redis::{RedisConnection, RedisOptions, RedisStore};

use crate::server::RedisServer;

pub(crate) async fn redis_tells_every_change(servers: &RedisConnection) {
    let connect = async |kept| {
        let options = RedisOptions {
            namespace: "changes".into(),
            changes_kept: kept,
            ..RedisOptions::default()
        };
        let store: AnyStore = Arc::new(RedisStore::connect(servers, options).await.unwrap());
        store
    };
    let open = async |kept| (connect(kept).await, connect(kept).await);
    every_change_is_followed_from_any_position(open).await;
}

#[test]
fn every_change_is_in_the_change_stream() {
    let server = RedisServer::start();
    run(redis_tells_every_change(&server.servers()));
}

#[test]
fn a_follower_survives_a_restart_of_its_server() {
    let mut server = RedisServer::start();
    run(async {
        let options = || RedisOptions { namespace: "wake".into(), ..RedisOptions::default() };
        let store = RedisStore::connect(&server.servers(), options()).await.unwrap();
        let log = store.changes().unwrap();
        let start = log.end().await.unwrap();
        store.put_items(vec![new_item("a")]).await.unwrap();
        let (items, _, position) = follow(&*log, start).await;
        assert_eq!(items.len(), 1);

        server.kill();
        assert!(log.wait(&position, Duration::from_secs(20)).await.is_err());
        assert!(log.after(&position).await.is_err());
        server.restart();
        store.put_items(vec![new_item("b")]).await.unwrap();
        let (items, _, position) = follow(&*log, position).await;
        assert_eq!(items, BTreeSet::from(["b".into()]), "it goes on where it was");

        // Emptied, and given as many changes anew: not the log that was followed.
        server.command(&["FLUSHALL"]);
        assert_eq!(log.after(&position).await.unwrap(), Next::Lost);
        store.put_items(vec![new_item("b"), new_item("a")]).await.unwrap();
        let now = log.end().await.unwrap();
        assert_eq!(log.after(&now).await.unwrap(), Next::Nothing);
    });
}
