//! Word of changed items, written in the transaction of the change.
//!
//! Entries are numbered by the items they name: an entry's number is how many items were named up to
//! and with its last one. So the number kept bounds the file, however many items a write has. A
//! position names the entry it ends at by number and time. It is good while that entry, or word of
//! its having been trimmed last, is there: not after more was trimmed, nor in another store, nor in
//! a copy of this one that was put back and has gone on from there.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use plugrank_contract::ItemId;
use plugrank_store::{
    ChangeLag, ChangeLog, ChangePosition, Changes, StoreError,
    changes::{Change, Next, StreamPosition},
    codec,
};
use redb::{
    AccessGuard, ReadTransaction, ReadableTable, Table, TableDefinition, TableError,
    WriteTransaction,
};
use tokio::sync::watch;

use crate::{database::Handle, error::Failure};

/// An entry's number to its time in milliseconds, its kind and its items (postcard).
pub(crate) const CHANGES: TableDefinition<u64, &[u8]> = TableDefinition::new("changes");
/// One row: what tells this log from every other; number and time of the last entry trimmed.
pub(crate) const LOG: TableDefinition<(), (u64, u64, u64)> = TableDefinition::new("change_log");

/// Items named in one entry, at most.
const ENTRY_ITEMS: usize = 64;
/// Items after which a read takes no further entry.
const READ_ITEMS: usize = 4096;

type Entry = (u64, Change, Vec<ItemId>);

/// Begins an empty log where there is none.
pub(crate) fn create(txn: &WriteTransaction) -> Result<(), Failure> {
    txn.open_table(CHANGES)?;
    let mut log = txn.open_table(LOG)?;
    if log.get(())?.is_none() {
        // Keyed at random by the standard library.
        let identity = RandomState::new().hash_one(now_ms());
        log.insert((), (identity, 0, 0))?;
    }
    Ok(())
}

/// Whether there is a log: older programs made stores without one.
pub(crate) fn exists(txn: &ReadTransaction) -> Result<bool, Failure> {
    match txn.open_table(LOG) {
        Ok(log) => Ok(log.get(())?.is_some()),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Adds the word of changed items, and trims what is beyond about `kept` of them.
pub(crate) fn append<'a>(
    txn: &WriteTransaction,
    change: Change,
    items: impl IntoIterator<Item = &'a ItemId>,
    kept: u64,
) -> Result<(), Failure> {
    let mut table = txn.open_table(CHANGES)?;
    let mut log = txn.open_table(LOG)?;
    let (identity, mut trimmed, mut trimmed_at) = log_row(log.get(())?)?;
    let mut end = table.last()?.map_or(trimmed, |(number, _)| number.value());
    let items: Vec<&ItemId> = items.into_iter().collect();
    let now = now_ms();
    for named in items.chunks(ENTRY_ITEMS) {
        end += named.len() as u64;
        table.insert(end, codec::encode(&(now, change, named)).as_slice())?;
    }
    let before = trimmed;
    // The last entry stays, however many items it names.
    while let Some((number, at)) = first(&table)?
        && number <= end.saturating_sub(kept.max(1))
        && number < end
    {
        table.remove(number)?;
        (trimmed, trimmed_at) = (number, at);
    }
    if trimmed != before {
        log.insert((), (identity, trimmed, trimmed_at))?;
    }
    Ok(())
}

/// Number and time of the oldest entry kept.
fn first(table: &Table<'_, u64, &[u8]>) -> Result<Option<(u64, u64)>, Failure> {
    let Some((number, value)) = table.first()? else { return Ok(None) };
    Ok(Some((number.value(), decode(value.value())?.0)))
}

fn decode(bytes: &[u8]) -> Result<Entry, Failure> {
    codec::decode(bytes).map_err(|error| Failure::unreadable("changes", error))
}

fn log_row(row: Option<AccessGuard<'_, (u64, u64, u64)>>) -> Result<(u64, u64, u64), Failure> {
    let missing = || Failure::unreadable("change_log", "it has no row");
    row.map(|row| row.value()).ok_or_else(missing)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The log as one transaction sees it.
struct Snapshot {
    entries: redb::ReadOnlyTable<u64, &'static [u8]>,
    identity: u64,
    /// Number and time of the last entry trimmed.
    trimmed: (u64, u64),
}

impl Snapshot {
    fn open(txn: &ReadTransaction) -> Result<Self, Failure> {
        let entries = txn.open_table(CHANGES)?;
        let (identity, number, at) = log_row(txn.open_table(LOG)?.get(())?)?;
        Ok(Self { entries, identity, trimmed: (number, at) })
    }

    fn position(&self, number: u64, at: u64) -> StreamPosition {
        StreamPosition { id: (at, self.identity), count: number }
    }

    fn end(&self) -> Result<StreamPosition, Failure> {
        let (number, at) = match self.entries.last()? {
            Some((number, value)) => (number.value(), decode(value.value())?.0),
            None => self.trimmed,
        };
        Ok(self.position(number, at))
    }

    /// Whether a position is one of this log, and all that came after it is kept.
    fn continues(&self, position: &StreamPosition) -> Result<bool, Failure> {
        let at = match self.entries.get(position.count)? {
            Some(value) => decode(value.value())?.0,
            None if self.trimmed.0 == position.count => self.trimmed.1,
            None => return Ok(false),
        };
        Ok(*position == self.position(position.count, at))
    }

    fn after(&self, position: &StreamPosition) -> Result<Next, Failure> {
        if !self.continues(position)? {
            return Ok(Next::Lost);
        }
        let (mut items, mut stats, mut next) = (Vec::new(), Vec::new(), *position);
        for row in self.entries.range(position.count + 1..)? {
            let (number, value) = row?;
            let (at, change, named) = decode(value.value())?;
            next = self.position(number.value(), at);
            match change {
                Change::Item => items.extend(named),
                Change::Stats => stats.extend(named),
            }
            if items.len() + stats.len() >= READ_ITEMS {
                break;
            }
        }
        if next == *position {
            return Ok(Next::Nothing);
        }
        Ok(Next::Changes(Changes::new(items, stats, ChangePosition(vec![next]))))
    }

    fn lag(&self, position: &StreamPosition) -> Result<ChangeLag, Failure> {
        let entries = self.end()?.count.saturating_sub(position.count);
        let oldest = self.entries.range(position.count.saturating_add(1)..)?.next().transpose()?;
        let age = match oldest {
            Some((_, value)) => now_ms().saturating_sub(decode(value.value())?.0),
            None => 0,
        };
        Ok(ChangeLag { entries, age: Duration::from_millis(age) })
    }
}

/// The log of one store. It keeps the file open.
#[derive(Debug)]
pub(crate) struct EmbeddedChanges {
    database: Arc<Handle>,
    /// Told after every commit that may have added to the log.
    written: Arc<watch::Sender<()>>,
}

impl EmbeddedChanges {
    pub(crate) fn new(database: Arc<Handle>, written: Arc<watch::Sender<()>>) -> Self {
        Self { database, written }
    }
}

#[async_trait]
impl ChangeLog for EmbeddedChanges {
    async fn end(&self) -> Result<ChangePosition, StoreError> {
        let end = self.database.read(|txn| Snapshot::open(txn)?.end())?;
        Ok(ChangePosition(vec![end]))
    }

    async fn after(&self, position: &ChangePosition) -> Result<Next, StoreError> {
        let [position] = position.0[..] else { return Ok(Next::Lost) };
        // Often there is nothing: that is told where the caller runs.
        if self.database.read(|txn| Ok(Snapshot::open(txn)?.end()? == position))? {
            return Ok(Next::Nothing);
        }
        let after = move |txn: &ReadTransaction| Snapshot::open(txn)?.after(&position);
        self.database.read_rows(READ_ITEMS, after).await
    }

    async fn wait(&self, position: &ChangePosition, longest: Duration) -> Result<(), StoreError> {
        // First this, then the look: no commit falls between them.
        let mut written = self.written.subscribe();
        let wait = async {
            while self.end().await? == *position {
                // The sender lives as long as this does.
                let _ = written.changed().await;
            }
            Ok(())
        };
        tokio::time::timeout(longest, wait).await.unwrap_or(Ok(()))
    }

    async fn lag(&self, position: &ChangePosition) -> Result<ChangeLag, StoreError> {
        let [position] = position.0[..] else { return Ok(ChangeLag::default()) };
        self.database.read(|txn| Snapshot::open(txn)?.lag(&position))
    }
}
