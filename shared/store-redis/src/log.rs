//! The logs of users: reading all of them by time, and forgetting what is old.

use futures::TryFutureExt;
use plugrank_contract::{Event, Exposure, TimestampMs, UserId};
use plugrank_store::{ExposureRow, LogCursor, LogPage, Retention, StoreError, TimeRange, codec};
use redis::cmd;

use crate::{
    batch::{Batch, Kind},
    connection::Server,
    events,
    keys::{Keys, Log},
    scan,
};

/// Exposures in one exchange.
const CHUNK: usize = 500;

/// Appends exposures.
pub(crate) async fn append_exposures(
    server: &Server,
    keys: &Keys,
    memory: u64,
    exposures: &[ExposureRow],
) -> Result<(), StoreError> {
    for chunk in exposures.chunks(CHUNK) {
        let mut batch = server.batch(Kind::Durable);
        for exposure in chunk {
            let key = keys.log(Log::Exposures, &exposure.user_id);
            let add = cmd("ZADD").arg(&key).arg(exposure.timestamp).arg(&*exposure.bytes).take();
            batch.push(&key, add);
            batch.push(&key, cmd("EXPIRE").arg(&key).arg(memory).take());
        }
        server.send::<u64>(batch).await?;
    }
    Ok(())
}

/// Users that have a log, page by page.
async fn users(
    server: &Server,
    keys: &Keys,
    log: Log,
    from: Option<&LogCursor>,
    limit: usize,
) -> Result<(Vec<UserId>, Option<LogCursor>), StoreError> {
    let from = from.map(|cursor| &*cursor.0);
    let (found, next) = scan::sorted_sets(server, keys, from, limit).await?;
    let users = found.iter().filter_map(|key| keys.log_of(log, key)).collect();
    Ok((users, next.map(LogCursor)))
}

fn by_time(batch: &mut Batch, keys: &Keys, log: Log, user: &UserId, range: TimeRange) {
    let key = keys.log(log, user);
    let mut read = cmd("ZRANGEBYSCORE");
    // A score is a double: moments beyond 2^53 are rounded, which the entries themselves decide.
    read.arg(&key).arg(range.from).arg(range.to);
    batch.push(&key, read);
}

/// What users have in their logs of a span of time.
async fn members(
    server: &Server,
    keys: &Keys,
    log: Log,
    users: &[UserId],
    range: TimeRange,
) -> Result<Vec<Vec<Vec<u8>>>, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    users.iter().for_each(|user| by_time(&mut batch, keys, log, user, range));
    server.send(batch).await
}

/// A page of exposures.
pub(crate) async fn scan_exposures(
    server: &Server,
    keys: &Keys,
    range: TimeRange,
    from: Option<LogCursor>,
    limit: usize,
) -> Result<LogPage<Exposure>, StoreError> {
    let (users, next) = users(server, keys, Log::Exposures, from.as_ref(), limit).await?;
    let mut entries = Vec::new();
    for bytes in members(server, keys, Log::Exposures, &users, range).await?.into_iter().flatten() {
        let exposure = codec::decode_exposure(&bytes);
        let exposure = exposure.map_err(|error| server.unreadable("an exposure", error))?;
        if range.contains(exposure.timestamp) {
            entries.push(exposure);
        }
    }
    Ok(LogPage { entries, next })
}

/// A page of events.
pub(crate) async fn scan_events(
    server: &Server,
    keys: &Keys,
    range: TimeRange,
    from: Option<LogCursor>,
    limit: usize,
) -> Result<LogPage<Event>, StoreError> {
    let (users, next) = users(server, keys, Log::Events, from.as_ref(), limit).await?;
    let ids = members(server, keys, Log::Events, &users, range).await?;
    let found = events_of(server, keys, users.iter().zip(&ids)).await?;
    let entries = found.into_iter().flatten().flatten();
    Ok(LogPage { entries: entries.filter(|event| range.contains(event.timestamp)).collect(), next })
}

/// Events of users by their ids.
async fn events_of<'a>(
    server: &Server,
    keys: &Keys,
    ids: impl Iterator<Item = (&'a UserId, &'a Vec<Vec<u8>>)>,
) -> Result<Vec<Vec<Option<Event>>>, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    for (user, ids) in ids.filter(|(_, ids)| !ids.is_empty()) {
        let key = keys.events(user);
        batch.push(&key, cmd("HMGET").arg(&key).arg(ids).take());
    }
    let found: Vec<Vec<Option<Vec<u8>>>> = server.send(batch).await?;
    let read = |stored: Option<Vec<u8>>| stored.map(|bytes| events::read(server, &bytes));
    found
        .into_iter()
        .map(|of_user| of_user.into_iter().map(|one| read(one).transpose()).collect())
        .collect()
}

/// All events of users, same order.
pub(crate) async fn all_events_of(
    server: &Server,
    keys: &Keys,
    users: &[UserId],
) -> Result<Vec<Vec<Event>>, StoreError> {
    let ids = members(server, keys, Log::Events, users, TimeRange::ALL).await?;
    let mut found = events_of(server, keys, users.iter().zip(&ids)).await?.into_iter();
    let of_user = |ids: &Vec<Vec<u8>>| match ids.is_empty() {
        true => Vec::new(),
        false => found.next().unwrap_or_default().into_iter().flatten().collect(),
    };
    Ok(ids.iter().map(of_user).collect())
}

/// Forgets what is older than it is kept; how many entries.
pub(crate) async fn forget_older(
    server: &Server,
    keys: &Keys,
    retention: &Retention,
    now: TimestampMs,
) -> Result<u64, StoreError> {
    let before = |kept: std::time::Duration| {
        now.saturating_sub(TimestampMs::try_from(kept.as_millis()).unwrap_or(TimestampMs::MAX))
    };
    let mut forgotten = 0;
    for log in [Log::Events, Log::Exposures] {
        let mut from = None;
        loop {
            let (users, next) = users(server, keys, log, from.as_ref(), 1000).await?;
            forgotten += match log {
                Log::Events => {
                    forget_events(server, keys, &users, before(retention.events)).await?
                }
                Log::Exposures => {
                    forget_exposures(server, keys, &users, before(retention.exposures)).await?
                }
            };
            from = next;
            if from.is_none() {
                break;
            }
        }
    }
    forgotten += crate::history::forget(server, keys, before(retention.history)).await?;
    Ok(forgotten)
}

async fn forget_exposures(
    server: &Server,
    keys: &Keys,
    users: &[UserId],
    before: TimestampMs,
) -> Result<u64, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    for user in users {
        let key = keys.log(Log::Exposures, user);
        let end = format!("({before}");
        batch.push(&key, cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(end).take());
    }
    server.send::<u64>(batch).map_ok(|removed| removed.into_iter().sum()).await
}

async fn forget_events(
    server: &Server,
    keys: &Keys,
    users: &[UserId],
    before: TimestampMs,
) -> Result<u64, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    for user in users {
        let key = keys.log(Log::Events, user);
        let end = format!("({before}");
        batch.push(&key, cmd("ZRANGEBYSCORE").arg(&key).arg("-inf").arg(end).take());
    }
    let ids: Vec<Vec<Vec<u8>>> = server.send(batch).await?;
    let old: Vec<(&UserId, &Vec<Vec<u8>>)> =
        users.iter().zip(&ids).filter(|(_, ids)| !ids.is_empty()).collect();
    let events = events_of(server, keys, old.iter().copied()).await?;
    let mut batch = server.batch(Kind::Transaction);
    for ((user, ids), events) in old.iter().zip(events) {
        let showings: Vec<Vec<u8>> = events.iter().flatten().map(events::showing).collect();
        let (key, times, shown) =
            (keys.events(user), keys.log(Log::Events, user), keys.showings(user));
        batch.push(&key, cmd("HDEL").arg(&key).arg(ids).take());
        batch.push(&times, cmd("ZREM").arg(&times).arg(ids).take());
        if !showings.is_empty() {
            batch.push(&shown, cmd("HDEL").arg(&shown).arg(&showings).take());
        }
    }
    server.send::<u64>(batch).await?;
    Ok(old.iter().map(|(_, ids)| ids.len() as u64).sum())
}

/// Removes all that is known of a user.
pub(crate) async fn delete_user(
    server: &Server,
    keys: &Keys,
    user: &UserId,
) -> Result<(), StoreError> {
    // Notes that an event was counted name the user by a hash. They go too.
    let ids =
        members(server, keys, Log::Events, std::slice::from_ref(user), TimeRange::ALL).await?;
    let events = events_of(server, keys, std::iter::once(user).zip(&ids)).await?;
    let counted = events.iter().flatten().flatten();
    let counted: Vec<_> = counted
        .map(|event| keys.counted(&event.item_id, &event.user_id, &event.event_id))
        .collect();
    let of_user = [
        keys.user(user),
        keys.clicks(user),
        keys.shown(user),
        keys.events(user),
        keys.showings(user),
        keys.log(Log::Events, user),
        keys.log(Log::Exposures, user),
    ];
    let mut batch = server.batch(Kind::Durable);
    server.del(&mut batch, &counted);
    server.del(&mut batch, &of_user);
    server.send::<()>(batch).await.map(drop)
}
