//! Brings a file of a schema before this one (3 or 4) to this one.
//!
//! What is as it was is copied. Of schema 4 that is all but served lists, which lay a row each. Of schema 3
//! events are appended anew: from them come the logs by time, what is known of showings, and the
//! statistics. Entries of histories are there already, and are written once more as they are.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use plugrank_contract::{Event, HistoryEntry, UserId};
use plugrank_store::{
    ExposureRow, HistoryCursor, ItemStats, StoreError, codec, keys,
    schema3::{self, LoadedPopularity},
};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};

use crate::{
    copy::Copy,
    error::{self, Failure},
    events, exposures, history,
    open::{META, SCHEMA_KEY, SCHEMA_VERSION, Schema, create_tables, stored_schema},
    stats,
};

/// User and event id to the event (postcard).
const EVENTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("events");
/// Item id to impressions and clicks that the loader counted.
const LOADED_STATS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("loaded_stats");

/// Time, user and request id to the served list (postcard), in schema 4.
const EXPOSURES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("exposures");

/// The schema that differs from this one in served lists alone.
pub(crate) const SCHEMA_4: u64 = 4;
/// Events and served lists appended, and entries read, at a time.
const CHUNK: usize = 20_000;

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMigration {
    /// Rows that were copied as they are.
    pub rows: u64,
    /// Events that were appended anew.
    pub events: u64,
    /// Served lists that were appended anew.
    pub exposures: u64,
    /// Where the file of before is.
    pub before: PathBuf,
}

pub(crate) fn migrate(
    path: &Path,
    half_life: Duration,
) -> Result<Option<FileMigration>, StoreError> {
    let beside = |ending: &str| {
        let mut name = path.to_owned().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let new = beside(".migrating");
    let io = |error: std::io::Error| error::from_io(&error, path);
    let failed = |failure: Failure| failure.into_store_error(path);
    let old = error::caught(|| Ok(Database::open(path)?)).map_err(failed)?;
    let version = match error::caught(|| stored_schema(&old)).map_err(failed)? {
        Schema::Version(SCHEMA_VERSION) => return Ok(None),
        Schema::Version(version @ (schema3::VERSION | SCHEMA_4)) => version,
        Schema::Version(_) | Schema::Empty | Schema::Foreign => {
            let what = "is no store of a version before this one (schema 3 or 4)";
            return Err(StoreError::Corrupt(format!("{} {what}", path.display())));
        }
    };
    let before = beside(&format!(".schema-{version}"));
    if before.exists() {
        let there = before.display();
        let message = format!("{there} is there, from an earlier migration; move it away first");
        return Err(StoreError::Unavailable(message));
    }
    // What an earlier attempt left.
    if new.exists() {
        std::fs::remove_file(&new).map_err(io)?;
    }
    let migrated = error::caught(|| match version {
        SCHEMA_4 => write_from_4(&old, &new, &before),
        _ => write_from_3(&old, &new, &before, half_life),
    });
    let migrated = migrated.map_err(failed)?;
    drop(old);
    // Both names are there before one of them changes what it names.
    std::fs::hard_link(path, &before).map_err(io)?;
    std::fs::rename(&new, path).map_err(io)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    }
    Ok(Some(migrated))
}

fn write_from_4(old: &Database, new: &Path, before: &Path) -> Result<FileMigration, Failure> {
    let from = old.begin_read()?;
    let mut copy = Copy::new(&from, new)?;
    copy.catalog_and_users()?;
    copy.events()?;
    let (to, rows) = (copy.to, copy.rows);
    let txn = to.begin_write()?;
    create_tables(&txn)?;
    txn.commit()?;
    let exposures = append_exposures(&from, &to)?;
    finish(&to)?;
    Ok(FileMigration { rows, events: 0, exposures, before: before.to_owned() })
}

/// Appends every served list; how many.
fn append_exposures(from: &ReadTransaction, to: &Database) -> Result<u64, Failure> {
    let (table, mut count) = (from.open_table(EXPOSURES)?, 0);
    let mut rows = table.iter()?;
    let row = |bytes: &[u8]| {
        let exposure = codec::decode_exposure(bytes);
        let exposure = exposure.map_err(|error| Failure::unreadable("exposures", error))?;
        Ok(ExposureRow::from(&exposure))
    };
    loop {
        let chunk = rows.by_ref().take(CHUNK).map(|stored| row(stored?.1.value()));
        let chunk = chunk.collect::<Result<Vec<_>, Failure>>()?;
        if chunk.is_empty() {
            return Ok(count);
        }
        let txn = to.begin_write()?;
        exposures::append(&txn, &chunk)?;
        txn.commit()?;
        count += chunk.len() as u64;
    }
}

/// Last: a file without a version is no store.
fn finish(to: &Database) -> Result<(), Failure> {
    let txn = to.begin_write()?;
    txn.open_table(META)?.insert(SCHEMA_KEY, SCHEMA_VERSION)?;
    txn.commit()?;
    Ok(())
}

fn write_from_3(
    old: &Database,
    new: &Path,
    before: &Path,
    half_life: Duration,
) -> Result<FileMigration, Failure> {
    let from = old.begin_read()?;
    let mut copy = Copy::new(&from, new)?;
    copy.catalog_and_users()?;
    let (to, mut rows) = (copy.to, copy.rows);
    let txn = to.begin_write()?;
    create_tables(&txn)?;
    rows += loaded_stats(&from, &txn, &loaded_popularity(&from, half_life)?)?;
    txn.commit()?;
    let events = append_all(&from, &to, half_life)?;
    finish(&to)?;
    Ok(FileMigration { rows, events, exposures: 0, before: before.to_owned() })
}

fn read(bytes: &[u8]) -> Result<Event, Failure> {
    schema3::read_event(bytes).map_err(|error| Failure::unreadable("events", error))
}

/// Appends every event; how many.
fn append_all(from: &ReadTransaction, to: &Database, half_life: Duration) -> Result<u64, Failure> {
    let (table, mut count) = (from.open_table(EVENTS)?, 0);
    let mut rows = table.iter()?;
    loop {
        let chunk = rows.by_ref().take(CHUNK).map(|row| read(row?.1.value()));
        let chunk = chunk.collect::<Result<Vec<_>, Failure>>()?;
        if chunk.is_empty() {
            return Ok(count);
        }
        let txn = to.begin_write()?;
        events::append(&txn, &chunk, half_life)?;
        txn.commit()?;
        count += chunk.len() as u64;
    }
}

/// Statistics that the loader counted, with the popularity that they had not.
fn loaded_stats(
    from: &ReadTransaction,
    to: &redb::WriteTransaction,
    popularity: &LoadedPopularity,
) -> Result<u64, Failure> {
    let table = from.open_table(LOADED_STATS)?;
    let rows = table.iter()?.map(|row| {
        let (id, counts) = row?;
        let (impressions, clicks) = counts.value();
        let id = id.value().into();
        let popularity = popularity.get(&id);
        Ok((id, ItemStats { impressions, clicks, popularity }))
    });
    let rows = rows.collect::<Result<Vec<_>, Failure>>()?;
    stats::put(to, &rows)?;
    Ok(rows.len() as u64)
}

/// Counts the histories, user by user, in whose order they and the events lie.
fn loaded_popularity(
    from: &ReadTransaction,
    half_life: Duration,
) -> Result<LoadedPopularity, Failure> {
    let table = from.open_table(EVENTS)?;
    let events_of = |user: &UserId| -> Result<Vec<Event>, Failure> {
        let mut prefix = Vec::new();
        keys::push_string(&mut prefix, user.as_str());
        let rows = table.range::<&[u8]>(prefix.as_slice()..)?;
        let mut events = Vec::new();
        for row in rows {
            let (key, value) = row?;
            if !key.value().starts_with(&prefix) {
                break;
            }
            events.push(read(value.value())?);
        }
        Ok(events)
    };
    let mut popularity = LoadedPopularity::new(half_life);
    let mut user: Option<(UserId, Vec<HistoryEntry>)> = None;
    let mut at: Option<HistoryCursor> = None;
    loop {
        let page = history::scan(from, at.as_ref(), CHUNK)?;
        for (id, entry) in page.entries {
            match &mut user {
                Some((same, entries)) if *same == id => entries.push(entry),
                _ => {
                    if let Some((id, entries)) = user.replace((id, vec![entry])) {
                        popularity.count(&entries, &events_of(&id)?);
                    }
                }
            }
        }
        at = page.next;
        if at.is_none() {
            break;
        }
    }
    if let Some((id, entries)) = user {
        popularity.count(&entries, &events_of(&id)?);
    }
    Ok(popularity)
}
