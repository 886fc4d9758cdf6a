//! Migration of stores of earlier versions (schemas 3 and 4).

use std::path::Path;

use plugrank_contract::{Event, EventType, Exposure, HistoryEntry, User};
use plugrank_store::{
    Store, TimeRange, VectorSpace, codec,
    contract_tests::{
        logs::exposure,
        migration::{self, DAY, HALF_LIFE, history},
    },
    keys,
    schema3::{LoggedEvent, LoggedType},
};
use plugrank_store_embedded::EmbeddedStore;
use redb::{Database, ReadableTable, TableDefinition, TableHandle};
use tempfile::TempDir;

use super::{item, open, run};

/// Tables as those versions wrote them.
mod before {
    use super::*;

    const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
    const EVENTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("events");
    const EXPOSURES: TableDefinition<&[u8], [u8; 9]> = TableDefinition::new("exposures");
    const HISTORY: TableDefinition<&[u8], ()> = TableDefinition::new("history");
    const STATS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("stats");
    const LOADED_STATS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("loaded_stats");

    /// Makes the file one of schema 3, with these events and counts of the loader.
    pub(super) fn write(path: &Path, events: &[LoggedEvent], loaded: &[(&str, (u64, u64))]) {
        let database = Database::create(path).unwrap();
        let txn = database.begin_write().unwrap();
        let since = [
            "events",
            "event_ids",
            "showings",
            "exposures",
            "user_exposures",
            "stats",
            "loaded_stats",
        ];
        for table in txn.list_tables().unwrap().filter(|table| since.contains(&table.name())) {
            txn.delete_table(table).unwrap();
        }
        txn.open_table(META).unwrap().insert("schema_version", 3).unwrap();
        {
            let mut table = txn.open_table(LOADED_STATS).unwrap();
            for (id, counts) in loaded {
                table.insert(*id, *counts).unwrap();
            }
        }
        txn.open_table(STATS).unwrap();
        for event in events {
            append(&txn, event);
        }
        txn.commit().unwrap();
    }

    /// Makes the file one of schema 4, which logged served lists a row each, without their last field.
    pub(super) fn write_4(path: &Path, served: &[Exposure]) {
        const LOG: TableDefinition<&[u8], &[u8]> = TableDefinition::new("exposures");
        const OF_USERS: TableDefinition<&[u8], i64> = TableDefinition::new("user_exposures");
        let database = Database::create(path).unwrap();
        let txn = database.begin_write().unwrap();
        let since = ["exposure_log", "exposed_users"];
        for table in txn.list_tables().unwrap().filter(|table| since.contains(&table.name())) {
            txn.delete_table(table).unwrap();
        }
        txn.open_table(META).unwrap().insert("schema_version", 4).unwrap();
        {
            let mut log = txn.open_table(LOG).unwrap();
            let mut of_users = txn.open_table(OF_USERS).unwrap();
            for exposure in served {
                let mut name = Vec::new();
                keys::push_string(&mut name, exposure.user_id.as_str());
                name.extend_from_slice(exposure.request_id.as_bytes());
                let mut key = Vec::new();
                keys::push_timestamp(&mut key, exposure.timestamp);
                key.extend_from_slice(&name);
                let mut bytes = codec::encode(exposure);
                assert_eq!(bytes.pop(), Some(0), "not logged in full");
                log.insert(key.as_slice(), bytes.as_slice()).unwrap();
                of_users.insert(name.as_slice(), exposure.timestamp).unwrap();
            }
        }
        txn.commit().unwrap();
    }

    fn entry(event: &LoggedEvent, at: i64, clicked: bool) -> Vec<u8> {
        let mut key = Vec::new();
        keys::push_string(&mut key, event.user_id.as_str());
        key.push(clicked.into());
        keys::push_entry(&mut key, at, &event.item_id);
        key
    }

    /// Shown at this time (tag 0) or clicked (tag 1).
    fn append(txn: &redb::WriteTransaction, event: &LoggedEvent) {
        let mut log = txn.open_table(EVENTS).unwrap();
        let mut key = Vec::new();
        keys::push_string(&mut key, event.user_id.as_str());
        key.extend_from_slice(event.event_id.as_bytes());
        assert!(log.get(key.as_slice()).unwrap().is_none());
        log.insert(key.as_slice(), codec::encode(event).as_slice()).unwrap();
        let exposure = event.request_id.as_deref().map(|request| {
            let mut key = Vec::new();
            keys::push_string(&mut key, event.user_id.as_str());
            keys::push_string(&mut key, request);
            keys::push_string(&mut key, event.item_id.as_str());
            key
        });
        let mut exposures = txn.open_table(EXPOSURES).unwrap();
        let known = exposure
            .as_ref()
            .and_then(|key| exposures.get(key.as_slice()).unwrap().map(|value| value.value()));
        let click = event.event_type == LoggedType::Click;
        let mut history = txn.open_table(HISTORY).unwrap();
        let (mut impressions, mut clicks) = (0, 0);
        match (click, known) {
            (false, Some(_)) => {}
            (true, Some(state)) if state[0] == 1 => {}
            (click, known) => {
                if let Some(state) = known {
                    let shown = i64::from_le_bytes(state[1..].try_into().unwrap());
                    history.remove(entry(event, shown, false).as_slice()).unwrap();
                } else {
                    impressions = 1;
                }
                clicks = click.into();
                history.insert(entry(event, event.timestamp, click).as_slice(), ()).unwrap();
                if let Some(key) = exposure {
                    let mut state = [u8::from(click); 9];
                    let at = if click { 0 } else { event.timestamp };
                    state[1..].copy_from_slice(&at.to_le_bytes());
                    exposures.insert(key.as_slice(), state).unwrap();
                }
            }
        }
        let mut stats = txn.open_table(STATS).unwrap();
        let id = event.item_id.as_str();
        let (shown, clicked) = stats.get(id).unwrap().map_or((0, 0), |value| value.value());
        stats.insert(id, (shown + impressions, clicked + clicks)).unwrap();
    }
}

#[test]
fn a_store_of_schema_3_is_migrated() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.redb");
    let modal = VectorSpace::Modal("1".to_owned());
    run(async {
        let store = open(&path).unwrap();
        migration::fill(&store).await;
        store.put_vectors(&modal, vec![(b"k".to_vec(), b"v".to_vec())]).await.unwrap();
        store.close().await.unwrap();
    });
    before::write(&path, &migration::events(), &[("1", (7, 2)), ("2", (3, 0))]);

    let refused = open(&path).err().unwrap().to_string();
    assert!(refused.contains("plugrank store migrate"), "{refused}");
    let migrated = EmbeddedStore::migrate(&path, HALF_LIFE).unwrap().unwrap();
    assert_eq!(migrated.events, 4);
    assert!(migrated.rows >= 10, "{migrated:?}");
    assert!(migrated.before.is_file());
    assert_eq!(EmbeddedStore::migrate(&path, HALF_LIFE), Ok(None), "it is of this version");

    run(async {
        let store = open(&path).unwrap();
        let vectors = store.vectors(&modal, &[b"k".to_vec()]).await.unwrap();
        assert_eq!(vectors, [Some(b"v".to_vec())]);
        migration::goes_on(&store, [(8, 2), (5, 2)]).await;
        store.close().await.unwrap();
    });
}

#[test]
fn a_store_of_schema_4_is_migrated_with_its_served_lists() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.redb");
    let click = |id: &str, item: &str, at| Event {
        event_id: id.to_owned(),
        event_type: EventType::click(),
        user_id: "u".into(),
        item_id: item.into(),
        value: None,
        request_id: Some("r1".to_owned()),
        position: Some(1),
        surface: None,
        timestamp: at,
    };
    let served =
        [exposure("r1", "u", DAY), exposure("r2", "v", DAY + 5), exposure("r3", "u", 2 * DAY)];
    let before = run(async {
        let store = open(&path).unwrap();
        store.put_items(vec![item(1, 10), item(2, 20)]).await.unwrap();
        store
            .put_users(vec![User { user_id: "u".into(), features: Default::default() }])
            .await
            .unwrap();
        store
            .put_history(vec![("u".into(), HistoryEntry::new("2".into(), false, 5))])
            .await
            .unwrap();
        store.put_document("models", b"[]".to_vec(), 0).await.unwrap();
        let events = vec![click("e1", "1", DAY + 1), click("e2", "2", DAY + 2)];
        store.append_events(events).await.unwrap();
        let stats = store.item_stats(&["1".into(), "2".into()]).await.unwrap();
        let found = (history(&store, "u").await, stats);
        store.close().await.unwrap();
        found
    });
    before::write_4(&path, &served);

    let refused = open(&path).err().unwrap().to_string();
    assert!(
        refused.contains("schema 4") && refused.contains("plugrank store migrate"),
        "{refused}"
    );
    let migrated = EmbeddedStore::migrate(&path, HALF_LIFE).unwrap().unwrap();
    assert_eq!((migrated.events, migrated.exposures), (0, 3));
    assert_eq!(migrated.before, folder.path().join("store.redb.schema-4"));
    assert!(migrated.before.is_file());
    assert_eq!(EmbeddedStore::migrate(&path, HALF_LIFE), Ok(None), "it is of this version");

    run(async {
        let store = open(&path).unwrap();
        assert_eq!(store.item_count().await.unwrap(), 2);
        assert!(store.user(&"u".into()).await.unwrap().is_some());
        assert_eq!(store.document("models").await.unwrap().unwrap().bytes, b"[]");
        let stats = store.item_stats(&["1".into(), "2".into()]).await.unwrap();
        assert_eq!((history(&store, "u").await, stats), before);
        let page = store.scan_events(TimeRange::ALL, None, 99).await.unwrap();
        assert_eq!(page.entries.len(), 2);
        let page = store.scan_exposures(TimeRange::ALL, None, 99).await.unwrap();
        assert_eq!(page.entries, served);
        // Repeats are known, and a user is forgotten in every log.
        assert_eq!(store.append_events(vec![click("e1", "1", DAY + 1)]).await.unwrap(), [false]);
        store.delete_user(&"u".into()).await.unwrap();
        let page = store.scan_exposures(TimeRange::ALL, None, 99).await.unwrap();
        assert_eq!(page.entries, served[1..2]);
        store.close().await.unwrap();
    });
}

#[test]
fn migration_refuses_missing_files_and_existing_backups() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.redb");
    assert!(EmbeddedStore::migrate(&path, HALF_LIFE).is_err());
    assert!(!path.exists());
    run(async {
        let store = open(&path).unwrap();
        store.put_items(vec![item(1, 10)]).await.unwrap();
        store.close().await.unwrap();
    });
    before::write(&path, &[], &[]);
    std::fs::write(folder.path().join("store.redb.schema-3"), b"kept").unwrap();
    let refused = EmbeddedStore::migrate(&path, HALF_LIFE).unwrap_err().to_string();
    assert!(refused.contains("store.redb.schema-3 is there"), "{refused}");
    assert!(open(&path).is_err(), "it is as it was");
}
