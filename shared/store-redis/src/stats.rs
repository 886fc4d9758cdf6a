//! Statistics and neighbours of items.

use plugrank_contract::ItemId;
use plugrank_store::{ItemStats, StoreError, changes::Change, codec};
use redis::cmd;

use crate::{batch::Kind, changes, connection::Server, keys::Keys};

/// Rows in one exchange.
const CHUNK: usize = 2000;
/// Largest count: the server adds to signed numbers.
const MAX_COUNT: u64 = i64::MAX.cast_unsigned() / 2;

/// Counted from events; the script of `append_events` adds to these.
const IMPRESSIONS: &str = "n";
const CLICKS: &str = "c";
/// Counted by the loader, kept apart so that loading again does not forget events.
const LOADED_IMPRESSIONS: &str = "ln";
const LOADED_CLICKS: &str = "lc";

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
            let counts = [
                (LOADED_IMPRESSIONS, stats.impressions.min(MAX_COUNT)),
                (LOADED_CLICKS, stats.clicks.min(MAX_COUNT)),
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
) -> Result<Vec<ItemStats>, StoreError> {
    const FIELDS: [&str; 4] = [IMPRESSIONS, LOADED_IMPRESSIONS, CLICKS, LOADED_CLICKS];
    let mut batch = server.batch(Kind::Plain);
    for id in ids {
        let key = keys.stats(id);
        batch.push(&key, cmd("HMGET").arg(&key).arg(&FIELDS).take());
    }
    let found: Vec<[Option<u64>; 4]> = server.send(batch).await?;
    let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0).saturating_add(b.unwrap_or(0));
    let stats = |[shown, loaded_shown, clicked, loaded_clicked]: [Option<u64>; 4]| ItemStats {
        impressions: sum(shown, loaded_shown),
        clicks: sum(clicked, loaded_clicked),
    };
    Ok(found.into_iter().map(stats).collect())
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
