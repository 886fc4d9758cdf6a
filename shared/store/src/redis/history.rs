//! Users' histories: two sorted sets, clicked and only shown, ordered by their members' bytes.
//!
//! All scores are 0. A score is a double and would round timestamps beyond 2^53; the member itself
//! is the order-preserving key of the entry.

use std::collections::HashMap;

use plugrank_contract::{History, HistoryEntry, TimestampMs, UserId};
use redis::cmd;

use super::{batch::Kind, connection::Server, keys::Keys, scripts};
use crate::{StoreError, keys as bytes};

/// Entries in one exchange, and in one run of the script.
const CHUNK: usize = 5000;

/// Adds entries, [`CHUNK`] in one exchange.
pub(super) async fn put(
    server: &Server,
    keys: &Keys,
    entries: &[(UserId, HistoryEntry)],
) -> Result<(), StoreError> {
    for chunk in entries.chunks(CHUNK) {
        let mut users: HashMap<&UserId, [Vec<Vec<u8>>; 2]> = HashMap::new();
        for (user, entry) in chunk {
            let [clicks, shown] = users.entry(user).or_default();
            if entry.clicked { clicks } else { shown }.push(member(entry));
        }
        // As transactions, which a server that syncs every write syncs once each.
        let mut batch = server.batch(Kind::Transaction);
        for (user, [clicks, shown]) in users {
            let mut args = vec![clicks.len().to_string().into_bytes()];
            args.extend(clicks.into_iter().chain(shown));
            batch.run(&scripts::PUT_HISTORY, &[keys.clicks(user), keys.shown(user)], &args);
        }
        server.send::<()>(batch).await?;
    }
    Ok(())
}

pub(super) async fn get(
    server: &Server,
    keys: &Keys,
    user: &UserId,
    before: TimestampMs,
    clicks: usize,
    impressions: usize,
) -> Result<History, StoreError> {
    // An entry at `before` itself goes on after these bytes, and so sorts behind them.
    let end = [b"(".as_slice(), &bytes::timestamp_bytes(before)].concat();
    let mut batch = server.batch(Kind::Plain);
    for (key, limit) in [(keys.clicks(user), clicks), (keys.shown(user), impressions)] {
        let limit = isize::try_from(limit).unwrap_or(isize::MAX);
        let mut command = cmd("ZREVRANGEBYLEX");
        command.arg(&key).arg(&end).arg("-").arg("LIMIT").arg(0).arg(limit);
        batch.push(&key, command);
    }
    let mut found: Vec<Vec<Vec<u8>>> = server.send(batch).await?;
    let (shown, clicks) = (found.pop().unwrap_or_default(), found.pop().unwrap_or_default());
    let read = |members: Vec<Vec<u8>>, clicked| -> Result<Vec<HistoryEntry>, StoreError> {
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

/// The member that stands for an entry.
pub(super) fn member(entry: &HistoryEntry) -> Vec<u8> {
    let mut member = Vec::with_capacity(12 + entry.item_id.as_str().len());
    bytes::push_entry(&mut member, entry.timestamp, &entry.item_id);
    member
}
