//! Users' histories: two sorted sets, clicked and only shown, ordered by their members' bytes.
//!
//! All scores are 0. A score is a double and would round timestamps beyond 2^53; the member itself
//! is the order-preserving key of the entry, and after it come action and value.

use std::collections::HashMap;

use plugrank_contract::{History, HistoryEntry, HistoryLimits, TimestampMs, UserId};
use plugrank_store::{HistoryCursor, HistoryPage, StoreError, keys as bytes};
use redis::cmd;

use crate::{
    batch::{Batch, Kind},
    connection::Server,
    keys::{Key, Keys},
    scan, scripts,
};

/// Entries in one exchange, and in one run of the script.
const CHUNK: usize = 5000;

/// Adds entries, [`CHUNK`] in one exchange.
pub(crate) async fn put(
    server: &Server,
    keys: &Keys,
    entries: &[(UserId, HistoryEntry)],
) -> Result<(), StoreError> {
    for chunk in entries.chunks(CHUNK) {
        // Names and details by turns.
        let mut users: HashMap<&UserId, [Vec<Vec<u8>>; 2]> = HashMap::new();
        for (user, entry) in chunk {
            let [clicks, shown] = users.entry(user).or_default();
            if entry.clicked { clicks } else { shown }.extend(member(entry));
        }
        // As transactions, which a server that syncs every write syncs once each.
        let mut batch = server.batch(Kind::Transaction);
        for (user, [clicks, shown]) in users {
            let mut args = vec![(clicks.len() / 2).to_string().into_bytes()];
            args.extend(clicks.into_iter().chain(shown));
            batch.run(&scripts::PUT_HISTORY, &[keys.clicks(user), keys.shown(user)], &args);
        }
        server.send::<()>(batch).await?;
    }
    Ok(())
}

pub(crate) async fn get(
    server: &Server,
    keys: &Keys,
    user: &UserId,
    before: TimestampMs,
    limits: HistoryLimits,
) -> Result<History, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    push_read(&mut batch, keys, user, before, limits);
    let mut found: Vec<Members> = server.send(batch).await?;
    let (shown, clicks) = (found.pop().unwrap_or_default(), found.pop().unwrap_or_default());
    read(server, clicks, shown)
}

/// Members of one of a user's sorted sets.
pub(crate) type Members = Vec<Vec<u8>>;

/// Adds two commands, which are answered with the last clicked and the last shown members.
pub(crate) fn push_read(
    batch: &mut Batch,
    keys: &Keys,
    user: &UserId,
    before: TimestampMs,
    limits: HistoryLimits,
) {
    // An entry at `before` itself goes on after these bytes, and so sorts behind them.
    let end = [b"(".as_slice(), &bytes::timestamp_bytes(before)].concat();
    for (key, limit) in [(keys.clicks(user), limits.clicks), (keys.shown(user), limits.impressions)]
    {
        let limit = isize::try_from(limit).unwrap_or(isize::MAX);
        let mut command = cmd("ZREVRANGEBYLEX");
        command.arg(&key).arg(&end).arg("-").arg("LIMIT").arg(0).arg(limit);
        batch.push(&key, command);
    }
}

/// The history that the answers to [`push_read`] tell.
pub(crate) fn read(
    server: &Server,
    clicks: Members,
    shown: Members,
) -> Result<History, StoreError> {
    let read = |members: Members, clicked| -> Result<Vec<HistoryEntry>, StoreError> {
        members
            .iter()
            .map(|member| {
                bytes::read_entry(member, clicked)
                    .ok_or_else(|| server.unreadable("a history", "not an entry"))
            })
            .collect()
    };
    Ok(History { entries: bytes::merge(read(clicks, true)?, read(shown, false)?) })
}

/// A page: what one `SCAN` of one server finds, with the entries it leads to.
pub(crate) async fn scan(
    server: &Server,
    keys: &Keys,
    from: Option<HistoryCursor>,
    limit: usize,
) -> Result<HistoryPage, StoreError> {
    let (found, next) = histories(server, keys, from, limit).await?;
    Ok(HistoryPage { entries: entries(server, keys, found).await?, next })
}

/// Users that have histories, with whether of clicks, that one `SCAN` of one server finds.
async fn histories(
    server: &Server,
    keys: &Keys,
    from: Option<HistoryCursor>,
    limit: usize,
) -> Result<(Vec<(UserId, bool)>, Option<HistoryCursor>), StoreError> {
    let from = from.as_ref().map(|cursor| &*cursor.0);
    let (found, next) = scan::sorted_sets(server, keys, from, limit).await?;
    let histories = found.iter().filter_map(|key| keys.history_of(key)).collect();
    Ok((histories, next.map(HistoryCursor)))
}

/// Removes entries from before a moment; how many.
pub(crate) async fn forget(
    server: &Server,
    keys: &Keys,
    before: TimestampMs,
) -> Result<u64, StoreError> {
    let (mut forgotten, mut from) = (0, None);
    let end = [b"(".as_slice(), &bytes::timestamp_bytes(before)].concat();
    loop {
        let (found, next) = histories(server, keys, from, CHUNK).await?;
        let mut batch = server.batch(Kind::Plain);
        for (user, clicked) in &found {
            let key = if *clicked { keys.clicks(user) } else { keys.shown(user) };
            batch.push(&key, cmd("ZREMRANGEBYLEX").arg(&key).arg("-").arg(&end).take());
        }
        forgotten += server.send::<u64>(batch).await?.into_iter().sum::<u64>();
        from = next;
        if from.is_none() {
            return Ok(forgotten);
        }
    }
}

/// All entries of the histories among some keys.
pub(crate) async fn entries(
    server: &Server,
    keys: &Keys,
    histories: Vec<(UserId, bool)>,
) -> Result<Vec<(UserId, HistoryEntry)>, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    for (user, clicked) in &histories {
        let key: Key = if *clicked { keys.clicks(user) } else { keys.shown(user) };
        batch.push(&key, cmd("ZRANGE").arg(&key).arg(0).arg(-1).take());
    }
    let members: Vec<Vec<Vec<u8>>> = server.send(batch).await?;
    let mut entries = Vec::new();
    for ((user, clicked), members) in histories.into_iter().zip(members) {
        for member in members {
            let entry = bytes::read_entry(&member, clicked)
                .ok_or_else(|| server.unreadable("a history", "not an entry"))?;
            entries.push((user.clone(), entry));
        }
    }
    Ok(entries)
}

/// The two parts of the member that stands for an entry: what names it, and what else is told of it.
pub(crate) fn member(entry: &HistoryEntry) -> [Vec<u8>; 2] {
    let mut name = Vec::with_capacity(12 + entry.item_id.as_str().len());
    bytes::push_entry(&mut name, entry.timestamp, &entry.item_id);
    let mut details = Vec::new();
    bytes::push_details(&mut details, entry);
    [name, details]
}
