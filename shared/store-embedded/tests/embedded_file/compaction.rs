//! Compaction and copies: deleted users, file size over a year.

use std::{fs, path::Path, sync::Arc, time::Duration};

use plugrank_store::{
    NewItem, Store,
    contract_tests::{
        AnyStore,
        fixtures::new_item,
        logs::{a_day, behave, logs_hold_the_retention_period},
        run,
    },
};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

/// No other bytes of the file are these.
const WHO: &str = "user-who-wants-to-be-forgotten";

fn holds(path: &Path, text: &str) -> bool {
    fs::read(path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

#[test]
fn a_compacted_file_has_no_byte_of_a_deleted_user_and_keeps_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let open = || EmbeddedStore::open(&path, EmbeddedOptions::default()).unwrap();
    run(async {
        let store = open();
        store
            .put_items(vec![NewItem { image: Some(vec![7; 1000]), ..new_item("i") }])
            .await
            .unwrap();
        store.put_document("d", b"text".to_vec(), 0).await.unwrap();
        behave(&store, WHO).await;
        behave(&store, "stays").await;
        drop(store);
        assert!(holds(&path, WHO));
        let store = open();
        store.delete_user(&WHO.into()).await.unwrap();
        drop(store);
        let (before, after) = EmbeddedStore::compact(&path).unwrap();
        assert!(after <= before, "{before} to {after}");
        assert!(!holds(&path, WHO));
        let store = open();
        let range = plugrank_store::TimeRange::ALL;
        assert_eq!(store.scan_events(range, None, 1000).await.unwrap().entries.len(), 50);
        assert_eq!(store.scan_exposures(range, None, 1000).await.unwrap().entries.len(), 50);
        assert_eq!(
            store.history(&"stays".into(), i64::MAX, 1000, 1000).await.unwrap().entries.len(),
            99
        );
        assert_eq!(store.images(&["i".into()]).await.unwrap(), [Some(vec![7; 1000])]);
        assert!(store.document("d").await.unwrap().is_some());
        assert_eq!(store.item_stats(&["i".into()]).await.unwrap()[0].clicks, 100);
    });
}

#[test]
fn a_copy_made_during_writes_is_a_consistent_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        EmbeddedStore::open(&dir.path().join(name), EmbeddedOptions::default()).unwrap()
    };
    run(async {
        let store = open("store.redb");
        behave(&store, "u").await;
        let backup = dir.path().join("backup.redb");
        let (rows, ()) = tokio::join!(
            async { tokio::task::block_in_place(|| store.copy_to(&backup)).unwrap() },
            behave(&store, "v"),
        );
        assert!(rows > 200, "{rows}");
        assert!(store.copy_to(&backup).is_err(), "existing files are not overwritten");
        let copy = open("backup.redb");
        let events = copy.scan_events(plugrank_store::TimeRange::ALL, None, 1000).await.unwrap();
        assert!(events.entries.iter().filter(|event| event.user_id.as_str() == "u").count() == 50);
        assert!(copy.user(&"u".into()).await.unwrap().is_some());
    });
}

#[test]
fn over_a_year_the_file_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let options = EmbeddedOptions { page_cache_mb: 8, ..EmbeddedOptions::default() };
    let store: AnyStore = Arc::new(EmbeddedStore::open(&path, options).unwrap());
    let mut sizes = Vec::new();
    run(async {
        for day in 0..365 {
            a_day(&*store, day).await;
            sizes.push(fs::metadata(&path).unwrap().len());
        }
        logs_hold_the_retention_period(&store).await;
    });
    // After the longest time anything is kept the file has its size.
    let (settled, end) = (sizes[120], sizes[364]);
    assert!(end as f64 <= settled as f64 * 1.25, "{settled} after 120 days, {end} after a year");
}

#[test]
fn a_cancelled_copy_is_removed() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("store.redb"), EmbeddedOptions::default());
    let store = std::sync::Arc::new(store.unwrap());
    let copies = || {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
        files.filter(|name| name.to_string_lossy().contains(".copy-")).count()
    };
    run(async {
        store.put_items((0..200).map(|n| new_item(&n.to_string())).collect()).await.unwrap();
        let copying = tokio::spawn({
            let store = std::sync::Arc::clone(&store);
            async move { store.copy().await }
        });
        while copies() == 0 && !copying.is_finished() {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        assert_eq!(copies(), 1);
        let finished = copying.is_finished();
        copying.abort();
        // A finished copy stays.
        let left = usize::from(finished);
        let gone = async {
            while copies() != left {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
        let copy = store.copy().await.unwrap().unwrap();
        assert!(copy.is_file());
        store.close().await.unwrap();
    });
}
