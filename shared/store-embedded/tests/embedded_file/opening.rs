//! Each way a file cannot be opened has its own message, which names the fix.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
};

use plugrank_store::{Store, StoreError};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use redb::{Database, TableDefinition};

use crate::{
    child::{Running, command, this_program},
    item, open, run,
};

fn unavailable(path: &Path) -> String {
    match open(path) {
        Err(StoreError::Unavailable(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn corrupt(path: &Path) -> String {
    match open(path) {
        Err(StoreError::Corrupt(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_is_reopened_and_its_directory_created() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/there/yet/store.redb");
    let store = open(&path).unwrap();
    run(store.put_items(vec![item(1, 10)])).unwrap();
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(run(store.item_count()).unwrap(), 1);
}

/// What redb says of a file that has to be repaired, which is one that was not closed.
fn was_closed(path: &Path) -> bool {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&asked);
    let mut builder = Database::builder();
    builder.set_repair_callback(move |_| told.store(true, std::sync::atomic::Ordering::Relaxed));
    drop(builder.open(path).unwrap());
    !asked.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn closing_a_store_closes_it_for_every_handle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    for turn in 0..50 {
        let mut child = Running::start(command(&this_program(), "end", &path));
        assert_eq!(child.says().as_deref(), Some("Ok(())"), "{turn}");
        assert!(child.child.wait().unwrap().success());
        assert!(was_closed(&path), "{turn}");
    }
    let store = open(&path).unwrap();
    let entries = run(store.history(&"u".into(), i64::MAX, 100, 0)).unwrap().entries;
    assert!(!entries.is_empty(), "acknowledged events are stored");
    run(store.close()).unwrap();
    assert!(matches!(run(store.item_count()), Err(StoreError::Unavailable(_))));
    let write = run(store.put_items(vec![item(1, 10)]));
    assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
    run(store.close()).unwrap();
}

#[test]
fn vectors_survive_a_clean_close() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let space = plugrank_store::VectorSpace::Modal("1".into());
    let store = open(&path).unwrap();
    run(store.put_vectors(&space, vec![(vec![1], vec![2])])).unwrap();
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(run(store.vectors(&space, &[vec![1]])).unwrap(), [Some(vec![2])]);
}

#[test]
fn an_unsupported_schema_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    drop(open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, u64>::new("meta");
    txn.open_table(meta).unwrap().insert("schema_version", 7).unwrap();
    txn.commit().unwrap();
    drop(database);
    let message = corrupt(&path);
    assert!(message.contains("schema version 7") && message.contains("reads 5"), "{message}");
    assert!(message.contains("store.redb"), "{message}");
}

#[test]
fn a_database_of_another_program_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let database = Database::create(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(TableDefinition::<u8, u8>::new("theirs")).unwrap().insert(1, 2).unwrap();
    txn.commit().unwrap();
    drop(database);
    assert!(corrupt(&path).contains("another program"));
    let database = Database::open(&path).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&database).unwrap();
    assert_eq!(txn.list_tables().unwrap().count(), 1);
}

#[test]
fn a_file_that_is_no_store_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    for content in ["text".into(), "x".repeat(100_000), "redb".repeat(50_000)] {
        let path = dir.path().join("store.redb");
        fs::write(&path, &content).unwrap();
        let message = corrupt(&path);
        assert!(message.contains("damaged or not a store"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn a_truncated_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let store = open(&path).unwrap();
    run(store.put_items((0..500).map(|id| item(id, 1000)).collect())).unwrap();
    drop(store);
    let length = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(length / 3).unwrap();
    let message = corrupt(&path);
    assert!(message.contains("damaged or not a store"), "{message}");
}

#[test]
fn damage_is_detected_on_opening_with_verification_else_on_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let store = open(&path).unwrap();
    run(store.put_items((0..500).map(|id| item(id, 1000)).collect())).unwrap();
    drop(store);
    // A disk that lost a stretch in the middle.
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20_000].fill(0xAB);
    fs::write(&path, bytes).unwrap();
    let copy = dir.path().join("copy.redb");
    fs::copy(&path, &copy).unwrap();
    let verifying = EmbeddedOptions { verify_on_open: true, ..EmbeddedOptions::default() };
    let error = EmbeddedStore::open(&copy, verifying).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(m) if m.contains("damaged")), "{error}");

    let read = open(&path).and_then(|store| run(store.scan_items(None, 1000)));
    let error = read.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(m) if m.contains("damaged")), "{error}");
}

#[test]
fn a_file_in_use_is_refused_in_this_and_other_processes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let mut holder = Running::start(command(&this_program(), "hold", &path));
    assert_eq!(holder.says().as_deref(), Some("open"));
    let message = unavailable(&path);
    assert!(message.contains("in use by another process"), "{message}");
    drop(holder);

    let _here = open(&path).unwrap();
    assert!(unavailable(&path).contains("in use"));
}

#[test]
fn a_directory_is_not_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let message = unavailable(dir.path());
    assert!(message.contains("is a directory; name a file in it"), "{message}");
}

#[test]
fn a_directory_without_permission_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let forbidden = dir.path().join("forbidden");
    fs::create_dir(&forbidden).unwrap();
    fs::set_permissions(&forbidden, fs::Permissions::from_mode(0o500)).unwrap();
    let path = forbidden.join("store.redb");

    // Root may write anywhere: then a child without its rights tries, from a copy of this program
    // where everybody can reach it.
    let is_root = fs::write(forbidden.join("probe"), "").is_ok();
    let message = if is_root {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("program");
        fs::copy(this_program(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut nobody = command(&program, "open", &path);
        nobody.uid(65534).gid(65534).current_dir("/");
        Running::start(nobody).says().expect("an answer")
    } else {
        unavailable(&path)
    };
    assert!(message.contains("no permission to read and write"), "{message}");
    assert!(message.contains("forbidden"), "{message}");
}

/// The name and the `nice` value of each thread of this process.
#[cfg(target_os = "linux")]
fn threads() -> Vec<(String, i32)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    // A thread may end while it is read.
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    let read = |stat: String| {
        let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
        Some((name.to_owned(), fields.split_whitespace().nth(16)?.parse().ok()?))
    };
    stats.filter_map(read).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn the_writer_thread_has_lower_priority() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store.redb")).unwrap();
    run(store.put_items(vec![item(1, 10)])).unwrap();
    let threads = threads();
    let own = threads.iter().filter(|(name, _)| name != "store-writer").map(|(_, nice)| *nice);
    let lowered = (own.max().unwrap() + 5).min(19);
    // Other tests have stores too, and their threads may just begin.
    let writers: Vec<_> = threads.iter().filter(|(name, _)| name == "store-writer").collect();
    assert!(writers.iter().any(|(_, nice)| *nice == lowered), "{writers:?} of {lowered}");
}
