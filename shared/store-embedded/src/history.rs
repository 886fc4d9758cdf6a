//! Users' histories.
//!
//! One row per entry, all in the key: user, kind (shown or clicked), timestamp, item, then action and
//! value. Each part is written so that bytes sort as values do, so the last n clicks before a moment
//! are one backward scan over n rows, however many impressions lie between them.

use std::ops::Bound;

use plugrank_contract::{History, HistoryEntry, TimestampMs, UserId};
use plugrank_store::{HistoryCursor, HistoryPage, keys};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::{error::Failure, log};

/// Key as the module says; no value.
pub(crate) const HISTORY: TableDefinition<&[u8], ()> = TableDefinition::new("history");

const SHOWN: u8 = 0;
const CLICKED: u8 = 1;

/// The key of an entry.
pub(crate) struct EntryKey {
    bytes: Vec<u8>,
    /// Where the kind stands in `bytes`.
    kind_at: usize,
    /// Where action and value begin: all before is of one entry only.
    details_at: usize,
}

impl EntryKey {
    pub(crate) fn new(user: &UserId, entry: &HistoryEntry) -> Self {
        let mut bytes = Vec::with_capacity(40 + user.as_str().len() + entry.item_id.as_str().len());
        keys::push_string(&mut bytes, user.as_str());
        let kind_at = bytes.len();
        bytes.push(if entry.clicked { CLICKED } else { SHOWN });
        keys::push_entry(&mut bytes, entry.timestamp, &entry.item_id);
        let details_at = bytes.len();
        keys::push_details(&mut bytes, entry);
        Self { bytes, kind_at, details_at }
    }

    fn clicked(&self) -> bool {
        self.bytes[self.kind_at] == CLICKED
    }

    /// The key without action and value.
    fn prefix(&self) -> &[u8] {
        &self.bytes[..self.details_at]
    }

    /// The same of the other kind.
    fn twin(&self) -> Vec<u8> {
        let mut twin = self.prefix().to_vec();
        twin[self.kind_at] = if self.clicked() { SHOWN } else { CLICKED };
        twin
    }
}

/// Keys of entries, in the order of the tree: neighbours are cheaper to write.
pub(crate) fn rows(entries: &[(UserId, HistoryEntry)]) -> Vec<EntryKey> {
    let mut rows: Vec<EntryKey> =
        entries.iter().map(|(user, entry)| EntryKey::new(user, entry)).collect();
    rows.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
    rows
}

pub(crate) fn put(txn: &WriteTransaction, rows: &[EntryKey]) -> Result<(), Failure> {
    let mut table = txn.open_table(HISTORY)?;
    rows.iter().try_for_each(|row| insert(&mut table, row))
}

/// The key that begins like this, of the one entry that has it.
fn stored(table: &Table<'_, &[u8], ()>, prefix: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let first = table.range::<&[u8]>(prefix..)?.next().transpose()?;
    let key = first.map(|(key, _)| key.value().to_vec());
    Ok(key.filter(|key| key.starts_with(prefix)))
}

/// Adds an entry. Of a user, item and time there is one entry: clicked, if any of them was; of two of
/// one kind the one whose action and value are the later bytes, in any order.
pub(crate) fn insert(table: &mut Table<'_, &[u8], ()>, key: &EntryKey) -> Result<(), Failure> {
    // Looked for first: removing what is not there costs much more.
    if let Some(twin) = stored(table, &key.twin())? {
        if !key.clicked() {
            return Ok(());
        }
        table.remove(twin.as_slice())?;
    }
    match stored(table, key.prefix())? {
        Some(found) if found >= key.bytes => return Ok(()),
        Some(found) => {
            table.remove(found.as_slice())?;
        }
        None => {}
    }
    table.insert(key.bytes.as_slice(), ())?;
    Ok(())
}

/// Gives an entry that is there another action and value.
pub(crate) fn retell(table: &mut Table<'_, &[u8], ()>, key: &EntryKey) -> Result<(), Failure> {
    if let Some(found) = stored(table, key.prefix())? {
        table.remove(found.as_slice())?;
        table.insert(key.bytes.as_slice(), ())?;
    }
    Ok(())
}

/// Removes an entry, if it is there, with any action and value.
pub(crate) fn remove(table: &mut Table<'_, &[u8], ()>, key: &EntryKey) -> Result<(), Failure> {
    if let Some(found) = stored(table, key.prefix())? {
        table.remove(found.as_slice())?;
    }
    Ok(())
}

pub(crate) fn get(
    txn: &ReadTransaction,
    user: &UserId,
    before: TimestampMs,
    clicks: usize,
    impressions: usize,
) -> Result<History, Failure> {
    let table = txn.open_table(HISTORY)?;
    let last = |kind: u8, limit: usize| -> Result<Vec<HistoryEntry>, Failure> {
        let mut start = Vec::with_capacity(13 + user.as_str().len());
        keys::push_string(&mut start, user.as_str());
        start.push(kind);
        let prefix = start.len();
        let mut end = start.clone();
        keys::push_timestamp(&mut end, before);
        table
            .range::<&[u8]>(start.as_slice()..end.as_slice())?
            .rev()
            .take(limit)
            .map(|row| {
                let (key, _) = row?;
                keys::read_entry(&key.value()[prefix..], kind == CLICKED).ok_or_else(not_an_entry)
            })
            .collect()
    };
    let (clicks, impressions) = (last(CLICKED, clicks)?, last(SHOWN, impressions)?);
    Ok(History { entries: keys::merge(clicks, impressions) })
}

/// Removes all entries of a user.
pub(crate) fn delete(txn: &WriteTransaction, user: &UserId) -> Result<(), Failure> {
    let mut table = txn.open_table(HISTORY)?;
    table.retain_in::<&[u8], _>(log::user_range(user).bounds(), |_, ()| false)?;
    Ok(())
}

/// Keys of entries from before a moment.
#[derive(Debug, Default)]
pub(crate) struct Older {
    pub(crate) keys: Vec<Vec<u8>>,
    /// Where to go on; `None` after the last user.
    pub(crate) next: Option<Vec<u8>>,
}

/// Up to `limit` keys of entries from before a moment, of as many users, from a key on.
pub(crate) fn older(
    txn: &ReadTransaction,
    from: Option<&[u8]>,
    before: TimestampMs,
    limit: usize,
) -> Result<Older, Failure> {
    let table = txn.open_table(HISTORY)?;
    let mut older = Older::default();
    let mut from = from.unwrap_or_default().to_vec();
    for _ in 0..limit {
        let Some(first) = table.range::<&[u8]>(from.as_slice()..)?.next().transpose()? else {
            return Ok(older);
        };
        let (user, _) = read(first.0.value()).ok_or_else(not_an_entry)?;
        // All of a kind of a user lie together, the oldest first.
        let mut kind = Vec::with_capacity(5 + user.as_str().len());
        keys::push_string(&mut kind, user.as_str());
        kind.push(first.0.value()[kind.len()]);
        let mut end = kind.clone();
        keys::push_timestamp(&mut end, before);
        for row in table.range::<&[u8]>(kind.as_slice()..end.as_slice())? {
            older.keys.push(row?.0.value().to_vec());
            if older.keys.len() >= limit {
                // The same kind again: by then these are gone.
                older.next = Some(kind);
                return Ok(older);
            }
        }
        from = kind;
        if let Some(last) = from.last_mut() {
            *last += 1;
        }
    }
    older.next = Some(from);
    Ok(older)
}

/// Removes entries.
pub(crate) fn remove_keys(txn: &WriteTransaction, entries: &[Vec<u8>]) -> Result<(), Failure> {
    let mut table = txn.open_table(HISTORY)?;
    for key in entries {
        table.remove(key.as_slice())?;
    }
    Ok(())
}

/// Whose entries these are.
pub(crate) fn users_of(entries: &[Vec<u8>]) -> Vec<UserId> {
    let mut users: Vec<UserId> = entries.iter().filter_map(|key| Some(read(key)?.0)).collect();
    users.dedup();
    users
}

fn not_an_entry() -> Failure {
    Failure::unreadable("history", "not an entry")
}

/// Entries of all users after a key, which is what the cursor holds.
pub(crate) fn scan(
    txn: &ReadTransaction,
    after: Option<&HistoryCursor>,
    limit: usize,
) -> Result<HistoryPage, Failure> {
    let table = txn.open_table(HISTORY)?;
    let start = after.map_or(Bound::Unbounded, |cursor| Bound::Excluded(cursor.0.as_slice()));
    let mut page = HistoryPage::default();
    for row in table.range::<&[u8]>((start, Bound::Unbounded))?.take(limit.max(1)) {
        let (key, _) = row?;
        let entry = read(key.value());
        page.entries.push(entry.ok_or_else(not_an_entry)?);
        if page.entries.len() == limit.max(1) {
            page.next = Some(HistoryCursor(key.value().to_vec()));
        }
    }
    Ok(page)
}

fn read(key: &[u8]) -> Option<(UserId, HistoryEntry)> {
    let (user, rest) = keys::read_string(key)?;
    let (kind, rest) = rest.split_first()?;
    Some((UserId::from(user), keys::read_entry(rest, *kind == CLICKED)?))
}
