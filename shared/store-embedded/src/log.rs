//! Tables in the order of time, and the keys of a user.

use std::ops::Bound;

use plugrank_contract::{TimestampMs, UserId};
use plugrank_store::{LogCursor, LogPage, TimeRange, codec, keys};
use redb::ReadableTable;
use serde::de::DeserializeOwned;

use crate::error::Failure;

/// The key of an entry: its time, then what names it.
pub(crate) fn key(at: TimestampMs, name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + name.len());
    keys::push_timestamp(&mut key, at);
    key.extend_from_slice(name);
    key
}

/// Entries of a span of time, in its order; the cursor holds the last key.
pub(crate) fn scan<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    name: &'static str,
    range: TimeRange,
    after: Option<&LogCursor>,
    limit: usize,
) -> Result<LogPage<T>, Failure> {
    let (from, to) = (key(range.from, &[]), key(range.to, &[]));
    let start = match after {
        Some(cursor) => Bound::Excluded(cursor.0.as_slice()),
        None => Bound::Included(from.as_slice()),
    };
    let mut page = LogPage::default();
    if range.from >= range.to {
        return Ok(page);
    }
    for row in table.range::<&[u8]>((start, Bound::Excluded(to.as_slice())))?.take(limit.max(1)) {
        let (key, value) = row?;
        page.entries.push(decode(name, value.value())?);
        if page.entries.len() == limit.max(1) {
            page.next = Some(LogCursor(key.value().to_vec()));
        }
    }
    Ok(page)
}

/// Up to `limit` entries from before a moment, with their keys.
pub(crate) fn oldest<T: DeserializeOwned>(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    name: &'static str,
    before: TimestampMs,
    limit: usize,
) -> Result<Vec<(Vec<u8>, T)>, Failure> {
    let end = key(before, &[]);
    let rows = table.range::<&[u8]>(..end.as_slice())?.take(limit);
    rows.map(|row| {
        let (key, value) = row?;
        Ok((key.value().to_vec(), decode(name, value.value())?))
    })
    .collect()
}

fn decode<T: DeserializeOwned>(name: &'static str, bytes: &[u8]) -> Result<T, Failure> {
    codec::decode(bytes).map_err(|error| Failure::unreadable(name, error))
}

/// Names and times of a user's entries.
pub(crate) fn of_user(
    table: &impl ReadableTable<&'static [u8], i64>,
    user: &UserId,
) -> Result<Vec<(Vec<u8>, TimestampMs)>, Failure> {
    let rows = table.range::<&[u8]>(user_range(user).bounds())?;
    rows.map(|row| row.map(|(name, at)| (name.value().to_vec(), at.value())).map_err(Failure::from))
        .collect()
}

/// Keys that begin with a user.
pub(crate) struct UserRange {
    start: Vec<u8>,
    end: Vec<u8>,
}

/// Keys that begin with a user, as [`keys::push_string`] writes them.
pub(crate) fn user_range(user: &UserId) -> UserRange {
    let mut start = Vec::with_capacity(4 + user.as_str().len());
    keys::push_string(&mut start, user.as_str());
    // The length in front ends below the greatest number, so a key after this one exists.
    let mut end = start.clone();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    UserRange { start, end }
}

impl UserRange {
    pub(crate) fn bounds(&self) -> std::ops::Range<&[u8]> {
        self.start.as_slice()..self.end.as_slice()
    }
}
