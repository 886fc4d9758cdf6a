//! Retrieval starts from a snapshot and applies the changes since.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use plugrank_contract::retrieval::Retrieved;
use plugrank_retrieval::RetrievalService;
use plugrank_store::NewItem;

use crate::{
    following::{fill, wait_until},
    redis::Redis,
    shop::{Shop, ids, item, request, retrieve},
};

fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snapshot-"));
    found.sort();
    found
}

async fn answers(service: &RetrievalService) -> Vec<Retrieved> {
    let mut answers = Vec::new();
    for user in ["u", "nobody"] {
        answers.push(retrieve(service, request(user, 50)).await);
    }
    answers
}

/// Builds, waits for a snapshot of what is there now, and ends.
async fn snapshot(shop: &Shop, folder: &Path) -> PathBuf {
    let before = snapshots(folder);
    let service = shop.build().await.unwrap();
    wait_until("a snapshot", async || snapshots(folder).last() != before.last()).await;
    drop(service);
    snapshots(folder).pop().unwrap()
}

#[tokio::test]
async fn a_start_from_a_snapshot_equals_a_full_build() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::over(redis.store(1_000_000).await);
    shop.options.snapshot.path = Some(folder.path().to_owned());
    shop.options.snapshot.every_ms = 1_000;
    fill(&shop).await;
    snapshot(&shop, folder.path()).await;

    // While no process runs.
    shop.vectors.fetched();
    shop.vectors.set("new", &[0.9, 9.0]);
    shop.put(item("new", &["y"], Some(900_000))).await;
    shop.vectors.set("i2", &[1.0, 8.9]);
    shop.put(item("i2", &["another category"], Some(2))).await;
    shop.store.delete_items(&["i8".into()]).await.unwrap();
    shop.stats("i1", 90, 100).await;
    shop.clicks("v", &["i4"; 40], 600).await;

    let restored = shop.build().await.unwrap();
    assert!(restored.status().restored.is_some());
    let mut fetched = shop.vectors.fetched();
    fetched.sort();
    assert_eq!(fetched, ["i2".into(), "new".into()], "all it needs of the embedding service");
    shop.options.snapshot.path = None;
    let anew = shop.build().await.unwrap();
    assert_eq!(anew.status().restored, None);
    assert_eq!(restored.status().indexed, anew.status().indexed);
    // What events counted is read in the background.
    let same = async || {
        let (a, b) = (answers(&restored).await, answers(&anew).await);
        let sorted = |answers: &[Retrieved]| {
            let one = |answer: &Retrieved| {
                let mut ids: Vec<String> = ids(answer).into_iter().map(str::to_owned).collect();
                ids.sort();
                ids
            };
            answers.iter().map(one).collect::<Vec<_>>()
        };
        sorted(&a) == sorted(&b)
    };
    wait_until("both give the same answers", same).await;
}

#[tokio::test]
async fn a_snapshot_damaged_or_of_another_bundle_is_refused() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::over(redis.store(1_000_000).await);
    shop.options.snapshot.path = Some(folder.path().to_owned());
    shop.options.snapshot.every_ms = 1_000;
    fill(&shop).await;
    let name = |path: &Path| path.file_name().unwrap().to_str().map(str::to_owned);
    let older = snapshot(&shop, folder.path()).await;
    shop.put(item("i0", &["changed"], Some(0))).await;
    let newer = snapshot(&shop, folder.path()).await;
    // No further snapshots from here on.
    shop.options.snapshot.every_ms = 3_600_000;
    assert_eq!(snapshots(folder.path()).len(), 2, "one to fall back to");
    assert_eq!(shop.build().await.unwrap().status().restored, name(&newer));

    let damage = |path: &Path, change: fn(&mut Vec<u8>)| {
        let whole = fs::read(path).unwrap();
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
        whole
    };
    let flip: fn(&mut Vec<u8>) = |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let cut: fn(&mut Vec<u8>) = |bytes| bytes.truncate(bytes.len() - 1);
    for file in ["items.bin", "index.usearch"] {
        for change in [flip, cut] {
            let path = newer.join(file);
            let whole = damage(&path, change);
            let restored = shop.build().await.unwrap().status().restored;
            assert_eq!(restored, name(&older), "{file}");
            fs::write(&path, whole).unwrap();
        }
    }
    let whole = damage(&newer.join("manifest.json"), cut);
    assert_eq!(shop.build().await.unwrap().status().restored, name(&older));
    fs::write(newer.join("manifest.json"), whole).unwrap();

    shop.options.ann.connectivity = 8;
    assert_eq!(shop.build().await.unwrap().status().restored, None, "other settings");
    shop.options.ann.connectivity = 16;
    for path in snapshots(folder.path()) {
        assert!(path.is_dir());
    }
    shop.vectors.activate("bundle-2", 3);
    shop.vectors.set("i1", &[1.0, 0.0, 1.0]);
    let service = shop.build().await.unwrap();
    let status = service.status();
    assert_eq!((status.restored, status.indexed), (None, 1), "another bundle");
    assert_eq!(status.bundle.as_deref(), Some("bundle-2"));
}

#[tokio::test]
async fn a_snapshot_older_than_the_change_log_is_reconciled() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::over(redis.store(256).await);
    shop.options.snapshot.path = Some(folder.path().to_owned());
    fill(&shop).await;
    snapshot(&shop, folder.path()).await;
    for n in 0..300 {
        let changed = NewItem { item: item("i5", &[&n.to_string()], None), image: None };
        shop.store.put_items(vec![changed]).await.unwrap();
    }
    shop.store.delete_items(&["i8".into()]).await.unwrap();
    shop.vectors.set("new", &[0.9, 9.0]);
    shop.put(item("new", &["y"], None)).await;
    shop.vectors.fetched();
    let service = shop.build().await.unwrap();
    let status = service.status();
    assert!(status.restored.is_some());
    assert_eq!(status.following.unwrap().resyncs, 1);
    assert_eq!((status.items, status.indexed), (10, 10));
    let mut fetched = shop.vectors.fetched();
    fetched.sort();
    assert_eq!(fetched, ["i5".into(), "new".into()], "what did not change is not fetched");
    let found = retrieve(&service, request("u", 50)).await;
    assert!(ids(&found).contains(&"new") && !ids(&found).contains(&"i8"));
}

#[tokio::test]
async fn an_embedded_store_has_snapshots_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::new();
    shop.options.snapshot.path = Some(folder.path().to_owned());
    fill(&shop).await;
    snapshot(&shop, folder.path()).await;
    shop.vectors.fetched();
    shop.vectors.set("new", &[0.9, 9.0]);
    shop.put(item("new", &["y"], Some(900_000))).await;
    shop.store.delete_items(&["i8".into()]).await.unwrap();
    let service = shop.build().await.unwrap();
    let status = service.status();
    assert!(status.restored.is_some());
    assert_eq!(status.following.unwrap().resyncs, 0);
    assert_eq!((status.items, status.indexed), (10, 10));
    assert_eq!(shop.vectors.fetched(), ["new".into()]);
    let found = retrieve(&service, request("u", 50)).await;
    assert!(ids(&found).contains(&"new") && !ids(&found).contains(&"i8"));
}
