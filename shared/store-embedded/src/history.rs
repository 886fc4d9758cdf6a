//! Users' histories.
//!
//! One row per entry, all in the key: user, kind (shown or clicked), timestamp, item. Each part is
//! written so that bytes sort as values do, so the last n clicks before a moment are one backward
//! scan over n rows, however many impressions lie between them.

use std::ops::Bound;

use plugrank_contract::{History, HistoryEntry, ItemId, TimestampMs, UserId};
use plugrank_store::{HistoryCursor, HistoryPage, keys};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::error::Failure;

/// Key as the module says; no value.
pub(crate) const HISTORY: TableDefinition<&[u8], ()> = TableDefinition::new("history");

const SHOWN: u8 = 0;
const CLICKED: u8 = 1;

/// The key of an entry.
pub(crate) struct EntryKey {
    bytes: Vec<u8>,
    /// Where the kind stands in `bytes`.
    kind_at: usize,
}

impl EntryKey {
    pub(crate) fn new(user: &UserId, item: &ItemId, timestamp: TimestampMs, clicked: bool) -> Self {
        let mut bytes = Vec::with_capacity(17 + user.as_str().len() + item.as_str().len());
        keys::push_string(&mut bytes, user.as_str());
        let kind_at = bytes.len();
        bytes.push(if clicked { CLICKED } else { SHOWN });
        keys::push_entry(&mut bytes, timestamp, item);
        Self { bytes, kind_at }
    }

    fn clicked(&self) -> bool {
        self.bytes[self.kind_at] == CLICKED
    }

    /// The same with the other kind.
    fn twin(&self) -> Vec<u8> {
        let mut twin = self.bytes.clone();
        twin[self.kind_at] = if self.clicked() { SHOWN } else { CLICKED };
        twin
    }
}

/// Keys of entries, in the order of the tree: neighbours are cheaper to write.
pub(crate) fn rows(entries: &[(UserId, HistoryEntry)]) -> Vec<EntryKey> {
    let mut rows: Vec<EntryKey> = entries
        .iter()
        .map(|(user, entry)| EntryKey::new(user, &entry.item_id, entry.timestamp, entry.clicked))
        .collect();
    rows.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
    rows
}

pub(crate) fn put(txn: &WriteTransaction, rows: &[EntryKey]) -> Result<(), Failure> {
    let mut table = txn.open_table(HISTORY)?;
    rows.iter().try_for_each(|row| insert(&mut table, row))
}

/// Adds an entry. Of a user, item and time there is one entry: clicked, if any of them was.
pub(crate) fn insert(table: &mut Table<'_, &[u8], ()>, key: &EntryKey) -> Result<(), Failure> {
    let twin = key.twin();
    // Looked for first: removing what is not there costs much more.
    if table.get(twin.as_slice())?.is_some() {
        if !key.clicked() {
            return Ok(());
        }
        table.remove(twin.as_slice())?;
    }
    table.insert(key.bytes.as_slice(), ())?;
    Ok(())
}

/// Removes an entry, if it is there.
pub(crate) fn remove(table: &mut Table<'_, &[u8], ()>, key: &EntryKey) -> Result<(), Failure> {
    table.remove(key.bytes.as_slice())?;
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
                keys::read_entry(&key.value()[prefix..], kind == CLICKED)
                    .ok_or_else(|| Failure::unreadable("history", "not an entry"))
            })
            .collect()
    };
    let (clicks, impressions) = (last(CLICKED, clicks)?, last(SHOWN, impressions)?);
    Ok(History { entries: keys::merge(clicks, impressions) })
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
        page.entries.push(entry.ok_or_else(|| Failure::unreadable("history", "not an entry"))?);
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
