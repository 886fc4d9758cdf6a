//! The change log in the file: created where missing, unique to its store, bounded.

use std::{fs, path::Path, sync::Arc};

use plugrank_store::{ChangeLog, ChangePosition, Store, changes::Next};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};

use crate::{item, open, run};

const CHANGES: TableDefinition<u64, &[u8]> = TableDefinition::new("changes");
const LOG: TableDefinition<(), (u64, u64, u64)> = TableDefinition::new("change_log");

fn log(store: &EmbeddedStore) -> Arc<dyn ChangeLog> {
    store.changes().unwrap()
}

fn end(store: &EmbeddedStore) -> ChangePosition {
    run(log(store).end()).unwrap()
}

fn after(store: &EmbeddedStore, position: &ChangePosition) -> Next {
    run(log(store).after(position)).unwrap()
}

/// Number of changed items after a position.
fn changed(store: &EmbeddedStore, position: &ChangePosition) -> usize {
    match after(store, position) {
        Next::Changes(changes) => changes.items.len(),
        other => panic!("{other:?}"),
    }
}

fn put(store: &EmbeddedStore, ids: impl IntoIterator<Item = u32>) {
    run(store.put_items(ids.into_iter().map(|id| item(id, 10)).collect())).unwrap();
}

#[test]
fn a_store_without_a_log_gets_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let store = open(&path).unwrap();
    put(&store, [1, 2]);
    let before = end(&store);
    drop(store);
    // As an older version without a log made it.
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    assert!(txn.delete_table(CHANGES).unwrap() && txn.delete_table(LOG).unwrap());
    txn.commit().unwrap();
    drop(database);

    let store = open(&path).unwrap();
    assert_eq!(run(store.item_count()).unwrap(), 2);
    assert_eq!(after(&store, &before), Next::Lost);
    let start = end(&store);
    assert_eq!(after(&store, &start), Next::Nothing);
    put(&store, [3]);
    assert_eq!(changed(&store, &start), 1);
    // Opened again, it is the same log.
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(changed(&store, &start), 1);
}

#[test]
fn a_position_in_another_store_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| open(&dir.path().join(name)).unwrap());
    let start = end(&one);
    assert_eq!(after(&other, &start), Next::Lost);
    for store in [&one, &other] {
        put(store, [1, 2]);
    }
    assert_eq!(changed(&one, &start), 2);
    assert_eq!(after(&other, &start), Next::Lost);
    assert_eq!(after(&other, &end(&one)), Next::Lost);
}

#[test]
fn a_restored_backup_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.redb"), dir.path().join("copy.redb"));
    let store = open(&path).unwrap();
    put(&store, [1]);
    let copied = end(&store);
    drop(store);
    fs::copy(&path, &copy).unwrap();
    let store = open(&path).unwrap();
    put(&store, [2]);
    let ahead = end(&store);
    drop(store);

    fs::rename(&copy, &path).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(after(&store, &ahead), Next::Lost);
    std::thread::sleep(std::time::Duration::from_millis(5));
    put(&store, [3]);
    assert_eq!(after(&store, &ahead), Next::Lost, "as many changes, but others");
    assert_eq!(changed(&store, &copied), 1);
}

fn entries(path: &Path) -> u64 {
    let database = Database::open(path).unwrap();
    let txn = database.begin_read().unwrap();
    txn.open_table(CHANGES).unwrap().len().unwrap()
}

#[test]
fn the_configured_number_of_changes_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let options = EmbeddedOptions { changes_kept: 100, ..EmbeddedOptions::default() };
    let reopened = || EmbeddedStore::open(&path, options.clone()).unwrap();
    let store = reopened();
    let mut positions = Vec::new();
    for id in 0..150 {
        positions.push(end(&store));
        put(&store, [id]);
    }
    // The position before each of the last hundred is good, and none before them.
    assert_eq!(after(&store, &positions[49]), Next::Lost);
    assert_eq!(changed(&store, &positions[50]), 100);
    assert_eq!(changed(&store, &positions[149]), 1);
    drop(store);
    assert_eq!(entries(&path), 100);

    // Of a large write the end alone.
    let store = reopened();
    let before = end(&store);
    put(&store, 0..5000);
    assert_eq!(after(&store, &before), Next::Lost);
    let now = end(&store);
    assert_eq!(after(&store, &now), Next::Nothing);
    drop(store);
    assert!(entries(&path) <= 3);
}

#[test]
fn long_change_lists_are_paged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store.redb")).unwrap();
    let mut position = end(&store);
    put(&store, 0..10_000);
    let (mut seen, mut answers) = (std::collections::HashSet::new(), 0);
    while let Next::Changes(changes) = after(&store, &position) {
        assert!(changes.items.len() < 5000, "{}", changes.items.len());
        seen.extend(changes.items);
        position = changes.position;
        answers += 1;
    }
    assert_eq!((seen.len(), position), (10_000, end(&store)));
    assert!(answers > 1);
}
