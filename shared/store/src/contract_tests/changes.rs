//! Following the changes of a catalog.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_contract::ItemId;

use super::{
    AnyStore,
    fixtures::{ids, new_item},
};
use crate::{ChangeLag, ChangeLog, ChangePosition, ItemStats, changes::Next};

/// Everything after a position, and the position after that.
pub async fn follow(
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

/// Who writes and who follows, where changes are kept as many as said: two of one store, or the same
/// one twice where a store belongs to one. Opened again after those before were dropped.
pub type Opened = (AnyStore, AnyStore);

/// To be run with a way to open a store anew, told how many changes it keeps.
pub async fn every_change_is_followed_from_any_position(open: impl AsyncFn(u64) -> Opened) {
    let (writer, reader) = open(1_000_000).await;
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
    let counts = ItemStats { impressions: 2, clicks: 1, ..ItemStats::default() };
    let counted = ["i1", "i2"].map(|id| (id.into(), counts)).to_vec();
    writer.put_item_stats(counted).await.unwrap();
    let names = |names: &[&str]| set(names.iter().map(|&name| name.to_owned()));
    let (items, stats, end) = follow(&*log, written).await;
    assert_eq!((items, stats), (names(&["i1", "never"]), names(&["i2"])));
    assert_eq!(end, log.end().await.unwrap());
    // Writes that change no item are not in it.
    writer.put_items(vec![]).await.unwrap();
    writer.put_neighbours(vec![("i1".into(), vec![])]).await.unwrap();
    assert_eq!(log.after(&end).await.unwrap(), Next::Nothing);

    // Another follower, from the start, after all were stopped.
    drop((writer, reader, log));
    let (forgetful, reader) = open(256).await;
    let log = reader.changes().unwrap();
    let (items, _, position) = follow(&*log, start.clone()).await;
    assert_eq!((items, &position), (set(many().chain(["never".to_owned()])), &end));

    // A follower that misses more changes than are kept.
    for _ in 0..300 {
        forgetful.put_items(vec![new_item("i5")]).await.unwrap();
    }
    assert_eq!(log.after(&end).await.unwrap(), Next::Lost);
    assert_eq!(log.after(&start).await.unwrap(), Next::Lost);
    let now = log.end().await.unwrap();
    forgetful.put_items(vec![new_item("i5")]).await.unwrap();
    assert_eq!(follow(&*log, now).await.0, names(&["i5"]));
}

pub async fn a_follower_is_woken(store: AnyStore) {
    let log = store.changes().unwrap();
    let start = log.end().await.unwrap();
    let begun = Instant::now();
    let (write, woken) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            store.put_items(vec![new_item("a")]).await
        },
        log.wait(&start, Duration::from_secs(60))
    );
    write.unwrap();
    woken.unwrap();
    let took = begun.elapsed();
    assert!(Duration::from_millis(150) < took && took < Duration::from_secs(30), "{took:?}");
    let (items, _, position) = follow(&*log, start.clone()).await;
    assert_eq!(items.len(), 1);

    // Existing changes are returned at once; waiting for new ones times out.
    let begun = Instant::now();
    log.wait(&start, Duration::from_secs(60)).await.unwrap();
    log.wait(&position, Duration::from_millis(100)).await.unwrap();
    let took = begun.elapsed();
    assert!(Duration::from_millis(90) < took && took < Duration::from_secs(30), "{took:?}");
}
