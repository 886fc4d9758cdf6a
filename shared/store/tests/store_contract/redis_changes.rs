//! Following the changes of a catalog.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_contract::ItemId;
use plugrank_store::{
    ChangeLag, ChangeLog, ChangePosition, ItemStats, RedisOptions, RedisServers, RedisStore, Store,
    changes::Next,
};

use crate::{
    fixtures::{ids, new_item},
    redis_server::RedisServer,
    run,
};

/// Everything after a position, and the position after that.
async fn follow(
    log: &dyn ChangeLog,
    mut position: ChangePosition,
) -> (BTreeSet<ItemId>, BTreeSet<ItemId>, ChangePosition) {
    let (mut items, mut stats) = (BTreeSet::new(), BTreeSet::new());
    loop {
        match log.after(&position).await.unwrap() {
            Next::Nothing => return (items, stats, position),
            Next::Changes(changes) => {
                items.extend(changes.items);
                stats.extend(changes.stats);
                position = changes.position;
            }
            Next::Lost => panic!("nothing was lost"),
        }
    }
}

fn set(names: impl IntoIterator<Item = String>) -> BTreeSet<ItemId> {
    names.into_iter().map(ItemId::from).collect()
}

/// Holds for one server as for a cluster.
pub(crate) async fn every_change_is_told_from_any_position(servers: &RedisServers) {
    let connect = async |kept| {
        let options = RedisOptions {
            namespace: "changes".into(),
            changes_kept: kept,
            ..RedisOptions::default()
        };
        RedisStore::connect(servers, options).await.unwrap()
    };
    let (writer, reader) = (connect(1_000_000).await, connect(1_000_000).await);
    let log: Arc<dyn ChangeLog> = reader.changes().unwrap();
    let start = log.end().await.unwrap();
    assert_eq!(log.after(&start).await.unwrap(), Next::Nothing);

    let many = || (0..3_000).map(|n| format!("i{n}"));
    writer.put_items(many().map(|id| new_item(&id)).collect()).await.unwrap();
    let lag = log.lag(&start).await.unwrap();
    assert!(lag.entries >= 256 && lag.age < Duration::from_secs(60), "{lag:?}");
    let (items, stats, written) = follow(&*log, start.clone()).await;
    assert_eq!((items, stats), (set(many()), set([])));
    assert_eq!(log.lag(&written).await.unwrap(), ChangeLag::default());

    writer.delete_items(&ids(&["i1", "never"])).await.unwrap();
    let counts = ItemStats { impressions: 2, clicks: 1 };
    let counted = ["i1", "i2"].map(|id| (id.into(), counts)).to_vec();
    writer.put_item_stats(counted).await.unwrap();
    let names = |names: &[&str]| set(names.iter().map(|&name| name.to_owned()));
    let (items, stats, end) = follow(&*log, written).await;
    assert_eq!((items, stats), (names(&["i1", "never"]), names(&["i2"])));
    assert_eq!(end, log.end().await.unwrap());
    // Another follower, from the start.
    assert_eq!(follow(&*log, start.clone()).await.0.len(), 3_001);

    // One that looks away while more changes than are kept.
    let forgetful = connect(256).await;
    for _ in 0..300 {
        forgetful.put_items(vec![new_item("i5")]).await.unwrap();
    }
    assert_eq!(log.after(&end).await.unwrap(), Next::Lost);
    assert_eq!(log.after(&start).await.unwrap(), Next::Lost);
    let now = log.end().await.unwrap();
    forgetful.put_items(vec![new_item("i5")]).await.unwrap();
    assert_eq!(follow(&*log, now).await.0, names(&["i5"]));
}

#[test]
fn one_server_tells_every_change() {
    let server = RedisServer::start();
    run(every_change_is_told_from_any_position(&server.servers()));
}

#[test]
fn a_follower_is_woken_and_outlives_its_server() {
    let mut server = RedisServer::start();
    run(async {
        let options = || RedisOptions { namespace: "wake".into(), ..RedisOptions::default() };
        let store = RedisStore::connect(&server.servers(), options()).await.unwrap();
        let log = store.changes().unwrap();
        let start = log.end().await.unwrap();
        let wait = async |position: &ChangePosition| {
            let begun = Instant::now();
            let woken = log.wait(position, Duration::from_secs(20)).await;
            (woken, begun.elapsed())
        };
        let (write, (woken, took)) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                store.put_items(vec![new_item("a")]).await
            },
            wait(&start)
        );
        write.unwrap();
        woken.unwrap();
        assert!(took < Duration::from_secs(10), "{took:?}");
        let (items, _, position) = follow(&*log, start).await;
        assert_eq!(items.len(), 1);

        server.kill();
        assert!(wait(&position).await.0.is_err());
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
