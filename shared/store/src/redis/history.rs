//! Users' histories: two sorted sets, clicked and only shown, ordered by their members' bytes.
//!
//! All scores are 0. A score is a double and would round timestamps beyond 2^53; the member itself
//! is the order-preserving key of the entry.

use std::collections::HashMap;

use deadpool_redis::redis::{self, Script};
use plugrank_contract::{History, HistoryEntry, TimestampMs, UserId};

use super::{connection::Server, keys::Keys};
use crate::{StoreError, keys as bytes};

/// Entries in one exchange, and in one run of the script.
const CHUNK: usize = 5000;

/// Adds entries, [`CHUNK`] in one transaction.
pub(super) async fn put(
    server: &Server,
    keys: &Keys,
    script: &Script,
    entries: &[(UserId, HistoryEntry)],
) -> Result<(), StoreError> {
    for chunk in entries.chunks(CHUNK) {
        let mut users: HashMap<&UserId, [Vec<Vec<u8>>; 2]> = HashMap::new();
        for (user, entry) in chunk {
            let [clicks, shown] = users.entry(user).or_default();
            if entry.clicked { clicks } else { shown }.push(member(entry));
        }
        let mut pipeline = redis::pipe();
        // As one transaction, which a server that syncs every write syncs once.
        pipeline.atomic();
        // Loaded each time, for a server may have been restarted and have forgotten it.
        pipeline.load_script(script).ignore();
        for (user, [clicks, shown]) in users {
            let mut call = script.prepare_invoke();
            call.key(keys.clicks(user)).key(keys.shown(user)).arg(clicks.len());
            for entry in clicks.into_iter().chain(shown) {
                call.arg(entry);
            }
            pipeline.invoke_script(&call).ignore();
        }
        server.query::<()>(&pipeline).await?;
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
    let limit = |limit| isize::try_from(limit).unwrap_or(isize::MAX);
    let mut pipeline = redis::pipe();
    pipeline.zrevrangebylex_limit(keys.clicks(user), &end, "-", 0, limit(clicks));
    pipeline.zrevrangebylex_limit(keys.shown(user), &end, "-", 0, limit(impressions));
    let (clicks, shown): (Vec<Vec<u8>>, Vec<Vec<u8>>) = server.query(&pipeline).await?;
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
