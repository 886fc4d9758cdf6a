//! Statistics and neighbours of items.

use std::time::Duration;

use plugrank_contract::{ItemId, TimestampMs};
use plugrank_store::{Decayed, ItemStats, StoreError, changes::Change, codec};
use redis::cmd;

use crate::{
    batch::{Batch, Kind},
    changes,
    connection::Server,
    keys::Keys,
};

/// Rows in one exchange.
const CHUNK: usize = 2000;
/// Largest count: the server adds to signed numbers.
const MAX_COUNT: u64 = i64::MAX.cast_unsigned() / 2;

/// Counted from events; the script of `append_events` adds to these.
const IMPRESSIONS: &str = "n";
const CLICKS: &str = "c";
const POPULARITY: &str = "p";
const POPULARITY_AT: &str = "pt";
/// Counted by the loader, kept apart so that loading again does not forget events.
const LOADED_IMPRESSIONS: &str = "ln";
const LOADED_CLICKS: &str = "lc";
const LOADED_POPULARITY: &str = "lp";
const LOADED_POPULARITY_AT: &str = "lpt";

/// What [`get`] reads of an item.
type Row = (
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<f64>,
    Option<TimestampMs>,
    Option<f64>,
    Option<TimestampMs>,
);

pub(crate) async fn put(
    server: &Server,
    keys: &Keys,
    kept: u64,
    stats: &[(ItemId, ItemStats)],
) -> Result<(), StoreError> {
    for chunk in stats.chunks(CHUNK) {
        // As transactions, which a server that syncs every write syncs once each.
        let mut batch = server.batch(Kind::Transaction);
        for (id, stats) in chunk {
            let Decayed { value, at } = stats.popularity;
            let counts = [
                (LOADED_IMPRESSIONS, stats.impressions.min(MAX_COUNT).to_string()),
                (LOADED_CLICKS, stats.clicks.min(MAX_COUNT).to_string()),
                (LOADED_POPULARITY, value.to_string()),
                (LOADED_POPULARITY_AT, at.to_string()),
            ];
            let key = keys.stats(id);
            batch.push(&key, cmd("HSET").arg(&key).arg(&counts).take());
        }
        let ids: Vec<ItemId> = chunk.iter().map(|(id, _)| id.clone()).collect();
        changes::announce(&mut batch, keys, Change::Stats, &ids, kept);
        server.send::<()>(batch).await?;
    }
    Ok(())
}

pub(crate) async fn get(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
    half_life: Duration,
) -> Result<Vec<ItemStats>, StoreError> {
    const COUNTS: [&str; 4] = [IMPRESSIONS, LOADED_IMPRESSIONS, CLICKS, LOADED_CLICKS];
    const SUMS: [&str; 4] = [POPULARITY, POPULARITY_AT, LOADED_POPULARITY, LOADED_POPULARITY_AT];
    let mut batch = server.batch(Kind::Plain);
    for id in ids {
        let key = keys.stats(id);
        batch.push(&key, cmd("HMGET").arg(&key).arg(&COUNTS).arg(&SUMS).take());
    }
    let found: Vec<Row> = server.send(batch).await?;
    let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0).saturating_add(b.unwrap_or(0));
    let popularity = |value: Option<f64>, at: Option<TimestampMs>| Decayed {
        value: value.unwrap_or(0.0),
        at: at.unwrap_or(0),
    };
    let stats =
        |(shown, loaded_shown, clicked, loaded_clicked, value, at, loaded, loaded_at): Row| {
            ItemStats {
                impressions: sum(shown, loaded_shown),
                clicks: sum(clicked, loaded_clicked),
                popularity: popularity(value, at).plus(popularity(loaded, loaded_at), half_life),
            }
        };
    Ok(found.into_iter().map(stats).collect())
}

/// What is kept of an item apart: what the loader counted, and what events did.
pub(crate) struct Counts {
    pub(crate) loaded: ItemStats,
    counted: (u64, u64),
}

/// Counts of items, same order.
pub(crate) async fn counts(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<Counts>, StoreError> {
    const FIELDS: [&str; 4] = [IMPRESSIONS, LOADED_IMPRESSIONS, CLICKS, LOADED_CLICKS];
    let mut batch = server.batch(Kind::Plain);
    for id in ids {
        let key = keys.stats(id);
        batch.push(&key, cmd("HMGET").arg(&key).arg(&FIELDS).take());
    }
    let found: Vec<[Option<u64>; 4]> = server.send(batch).await?;
    let counts = |found: [Option<u64>; 4]| {
        let [impressions, loaded_impressions, clicks, loaded_clicks] =
            found.map(Option::unwrap_or_default);
        let loaded = ItemStats {
            impressions: loaded_impressions,
            clicks: loaded_clicks,
            ..ItemStats::default()
        };
        Counts { loaded, counted: (impressions, clicks) }
    };
    Ok(found.into_iter().map(counts).collect())
}

/// Adds a command that sets what events counted.
pub(crate) fn set_counted(batch: &mut Batch, keys: &Keys, id: &ItemId, counts: &Counts) {
    let (impressions, clicks) = counts.counted;
    let (key, fields) = (keys.stats(id), [(IMPRESSIONS, impressions), (CLICKS, clicks)]);
    batch.push(&key, cmd("HSET").arg(&key).arg(&fields).take());
}

pub(crate) async fn put_neighbours(
    server: &Server,
    keys: &Keys,
    neighbours: &[(ItemId, Vec<(ItemId, f32)>)],
) -> Result<(), StoreError> {
    for chunk in neighbours.chunks(CHUNK) {
        let names: Vec<_> = chunk.iter().map(|(id, _)| keys.neighbours(id)).collect();
        let values: Vec<_> = chunk.iter().map(|(_, list)| codec::encode_neighbours(list)).collect();
        // As transactions, which a server that syncs every write syncs once each.
        let mut batch = server.batch(Kind::Transaction);
        server.mset(&mut batch, &names, &values);
        server.send::<()>(batch).await?;
    }
    Ok(())
}

pub(crate) async fn neighbours(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError> {
    let wanted: Vec<_> = ids.iter().map(|id| keys.neighbours(id)).collect();
    server
        .mget(&wanted)
        .await?
        .into_iter()
        .map(|value| match value {
            None => Ok(Vec::new()),
            Some(bytes) => codec::decode_neighbours(&bytes)
                .map_err(|error| server.unreadable("neighbours", error)),
        })
        .collect()
}
