//! Forgets what is older than it is kept.

use std::time::Duration;

use plugrank_contract::TimestampMs;
use plugrank_store::{Retention, StoreError};
use redb::WriteTransaction;

use crate::{EmbeddedStore, error::Failure, events, exposures, history, writer::Sync};

/// Rows removed in one transaction, so that no other transaction waits long behind one.
const CHUNK: usize = 1000;

/// Removes what is older; how many entries.
pub(crate) async fn forget_older(
    store: &EmbeddedStore,
    retention: &Retention,
    now: TimestampMs,
) -> Result<u64, StoreError> {
    let events = forget(store, before(now, retention.events), events::forget).await?;
    let exposures = forget(store, before(now, retention.exposures), exposures::forget).await?;
    let entries = forget_history(store, before(now, retention.history)).await?;
    Ok(events + exposures + entries)
}

/// The first moment that is kept.
fn before(now: TimestampMs, kept: Duration) -> TimestampMs {
    now.saturating_sub(TimestampMs::try_from(kept.as_millis()).unwrap_or(TimestampMs::MAX))
}

async fn forget(
    store: &EmbeddedStore,
    before: TimestampMs,
    some: fn(&WriteTransaction, TimestampMs, usize) -> Result<u64, Failure>,
) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    loop {
        let work = move |txn: &WriteTransaction| some(txn, before, CHUNK);
        let removed = store.writer.write(Sync::Durable, CHUNK, work, || ()).await?;
        forgotten += removed;
        if removed < CHUNK as u64 {
            return Ok(forgotten);
        }
    }
}

/// What is older is looked for beside the writer, user by user.
async fn forget_history(store: &EmbeddedStore, before: TimestampMs) -> Result<u64, StoreError> {
    let (mut forgotten, mut from) = (0, None::<Vec<u8>>);
    loop {
        let read =
            move |txn: &redb::ReadTransaction| history::older(txn, from.as_deref(), before, CHUNK);
        let older = store.database.read_rows(CHUNK, read).await?;
        if !older.keys.is_empty() {
            forgotten += older.keys.len() as u64;
            let users = history::users_of(&older.keys);
            let work = move |txn: &WriteTransaction| history::remove_keys(txn, &older.keys);
            store.write_users(CHUNK, users, work).await?;
        }
        from = older.next;
        if from.is_none() {
            return Ok(forgotten);
        }
    }
}
