//! The log of served lists: rows in chunks, so that a list costs a copy of its bytes and not a place of
//! its own in two trees.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Bound,
};

use plugrank_contract::{Exposure, TimestampMs, UserId};
use plugrank_store::{ExposureRow, LogCursor, LogPage, TimeRange, codec};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::{error::Failure, log};

/// Time of the last row and a hash of all to the rows of a chunk: each behind its length (u32,
/// little-endian), in the order of time.
pub(crate) const EXPOSURE_LOG: TableDefinition<&[u8], &[u8]> = TableDefinition::new("exposure_log");
/// The same key to the fingerprint of each row's user (u32, little-endian): what finds those of a user.
pub(crate) const EXPOSED_USERS: TableDefinition<&[u8], &[u8]> =
    TableDefinition::new("exposed_users");

/// Bytes in a chunk, but for one row that is longer. A little less than a power of two, to which a long
/// value is rounded up in the file.
const CHUNK_BYTES: usize = 60 << 10;
/// Most time between the first and the last row of a chunk, so that a reader of a span of time knows
/// where to end.
const CHUNK_SPAN_MS: i64 = 60_000;

/// Appends rows. The same rows given again, as after an error, replace themselves.
pub(crate) fn append(txn: &WriteTransaction, rows: &[ExposureRow]) -> Result<(), Failure> {
    let mut tables = Tables::open(txn)?;
    let mut in_order: Vec<&ExposureRow> = rows.iter().collect();
    in_order.sort_by_key(|row| row.timestamp);
    let mut chunk = Chunk::default();
    let (mut first, mut last) = (0, 0);
    for row in in_order {
        let long = row.timestamp.saturating_sub(first) > CHUNK_SPAN_MS;
        if !chunk.is_empty() && (long || chunk.rows.len() + row.bytes.len() > CHUNK_BYTES) {
            tables.put(&chunk.key(last), &chunk)?;
            chunk.clear();
        }
        if chunk.is_empty() {
            first = row.timestamp;
        }
        last = row.timestamp;
        chunk.push(row.user_id.fingerprint(), &row.bytes);
    }
    match chunk.is_empty() {
        true => Ok(()),
        false => tables.put(&chunk.key(last), &chunk),
    }
}

/// Exposures of a span of time, chunk by chunk; a page has whole chunks.
pub(crate) fn scan(
    txn: &ReadTransaction,
    range: TimeRange,
    after: Option<&LogCursor>,
    limit: usize,
) -> Result<LogPage<Exposure>, Failure> {
    let mut page = LogPage::default();
    if range.from >= range.to {
        return Ok(page);
    }
    let from = log::key(range.from, &[]);
    let to = log::key(range.to.saturating_add(CHUNK_SPAN_MS), &[]);
    let start = match after {
        Some(cursor) => Bound::Excluded(cursor.0.as_slice()),
        None => Bound::Included(from.as_slice()),
    };
    let chunks = txn.open_table(EXPOSURE_LOG)?;
    for chunk in chunks.range::<&[u8]>((start, Bound::Excluded(to.as_slice())))? {
        let (key, value) = chunk?;
        for row in rows_of(value.value()) {
            let exposure = decode(row)?;
            if range.contains(exposure.timestamp) {
                page.entries.push(exposure);
            }
        }
        if page.entries.len() >= limit.max(1) {
            page.next = Some(LogCursor(key.value().to_vec()));
            break;
        }
    }
    Ok(page)
}

/// Removes about `limit` exposures from before a moment, in whole chunks; how many.
pub(crate) fn forget(
    txn: &WriteTransaction,
    before: TimestampMs,
    limit: usize,
) -> Result<u64, Failure> {
    let mut tables = Tables::open(txn)?;
    let end = log::key(before, &[]);
    let (mut keys, mut forgotten) = (Vec::new(), 0);
    for chunk in tables.users.range::<&[u8]>(..end.as_slice())? {
        let (key, users) = chunk?;
        forgotten += fingerprints(users.value()).count();
        keys.push(key.value().to_vec());
        if forgotten >= limit {
            break;
        }
    }
    for key in keys {
        tables.remove(&key)?;
    }
    Ok(forgotten as u64)
}

/// Removes all exposures of a user.
pub(crate) fn delete(txn: &WriteTransaction, user: &UserId) -> Result<(), Failure> {
    let mut tables = Tables::open(txn)?;
    let wanted = user.fingerprint();
    let mut keys = Vec::new();
    for chunk in tables.users.iter()? {
        let (key, users) = chunk?;
        if fingerprints(users.value()).any(|fingerprint| fingerprint == wanted) {
            keys.push(key.value().to_vec());
        }
    }
    for key in keys {
        let kept = tables.without(&key, user, wanted)?;
        match kept.is_empty() {
            true => tables.remove(&key)?,
            false => tables.put(&key, &kept)?,
        }
    }
    Ok(())
}

struct Tables<'txn> {
    rows: Table<'txn, &'static [u8], &'static [u8]>,
    users: Table<'txn, &'static [u8], &'static [u8]>,
}

impl<'txn> Tables<'txn> {
    fn open(txn: &'txn WriteTransaction) -> Result<Self, Failure> {
        Ok(Self { rows: txn.open_table(EXPOSURE_LOG)?, users: txn.open_table(EXPOSED_USERS)? })
    }

    fn put(&mut self, key: &[u8], chunk: &Chunk) -> Result<(), Failure> {
        self.rows.insert(key, chunk.rows.as_slice())?;
        self.users.insert(key, chunk.users.as_slice())?;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Failure> {
        self.rows.remove(key)?;
        self.users.remove(key)?;
        Ok(())
    }

    /// A chunk without the rows of a user.
    fn without(&self, key: &[u8], user: &UserId, wanted: u32) -> Result<Chunk, Failure> {
        let mut kept = Chunk::default();
        let (rows, users) = (self.rows.get(key)?, self.users.get(key)?);
        let (Some(rows), Some(users)) = (&rows, &users) else { return Ok(kept) };
        for (row, fingerprint) in rows_of(rows.value()).zip(fingerprints(users.value())) {
            if fingerprint != wanted || decode(row)?.user_id != *user {
                kept.push(fingerprint, row);
            }
        }
        Ok(kept)
    }
}

/// Rows and the fingerprints of their users, as they are stored.
#[derive(Default)]
struct Chunk {
    rows: Vec<u8>,
    users: Vec<u8>,
}

impl Chunk {
    fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.users.clear();
    }

    fn push(&mut self, user: u32, row: &[u8]) {
        // A row is far below 4 GiB; of one that is not nothing can be read, which its reader says.
        let length = u32::try_from(row.len()).unwrap_or(u32::MAX);
        self.rows.extend_from_slice(&length.to_le_bytes());
        self.rows.extend_from_slice(row);
        self.users.extend_from_slice(&user.to_le_bytes());
    }

    /// The key of these rows. Only a process that writes them again has to find the same.
    fn key(&self, last: TimestampMs) -> Vec<u8> {
        let mut hasher = DefaultHasher::new();
        self.rows.hash(&mut hasher);
        log::key(last, &hasher.finish().to_be_bytes())
    }
}

fn rows_of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        // Bytes that end too early are a row too: reading it tells.
        let (row, rest) = rest.split_at(length.min(rest.len()));
        bytes = rest;
        Some(row)
    })
}

fn fingerprints(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

fn decode(row: &[u8]) -> Result<Exposure, Failure> {
    codec::decode_exposure(row).map_err(|error| Failure::unreadable("exposure_log", error))
}
