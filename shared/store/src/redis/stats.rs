//! Statistics and neighbours of items.

use deadpool_redis::redis;
use plugrank_contract::ItemId;

use super::{catalog::mget, connection::Server, keys::Keys};
use crate::{ItemStats, StoreError, codec};

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

pub(super) async fn put(
    server: &Server,
    keys: &Keys,
    stats: &[(ItemId, ItemStats)],
) -> Result<(), StoreError> {
    for chunk in stats.chunks(CHUNK) {
        let mut pipeline = redis::pipe();
        // As one transaction, which a server that syncs every write syncs once.
        pipeline.atomic();
        for (id, stats) in chunk {
            let counts = [
                (LOADED_IMPRESSIONS, stats.impressions.min(MAX_COUNT)),
                (LOADED_CLICKS, stats.clicks.min(MAX_COUNT)),
            ];
            pipeline.hset_multiple(keys.stats(id), &counts).ignore();
        }
        server.query::<()>(&pipeline).await?;
    }
    Ok(())
}

pub(super) async fn get(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<ItemStats>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipeline = redis::pipe();
    for id in ids {
        pipeline.hmget(keys.stats(id), &[IMPRESSIONS, LOADED_IMPRESSIONS, CLICKS, LOADED_CLICKS]);
    }
    let found: Vec<[Option<u64>; 4]> = server.query(&pipeline).await?;
    let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0).saturating_add(b.unwrap_or(0));
    let stats = |[shown, loaded_shown, clicked, loaded_clicked]: [Option<u64>; 4]| ItemStats {
        impressions: sum(shown, loaded_shown),
        clicks: sum(clicked, loaded_clicked),
    };
    Ok(found.into_iter().map(stats).collect())
}

pub(super) async fn put_neighbours(
    server: &Server,
    keys: &Keys,
    neighbours: &[(ItemId, Vec<(ItemId, f32)>)],
) -> Result<(), StoreError> {
    for chunk in neighbours.chunks(CHUNK) {
        let mut pipeline = redis::pipe();
        // As one transaction, which a server that syncs every write syncs once.
        pipeline.atomic();
        for (id, list) in chunk {
            pipeline.set(keys.neighbours(id), codec::encode_neighbours(list)).ignore();
        }
        server.query::<()>(&pipeline).await?;
    }
    Ok(())
}

pub(super) async fn neighbours(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError> {
    mget(server, ids.iter().map(|id| keys.neighbours(id)))
        .await?
        .into_iter()
        .map(|value| match value {
            None => Ok(Vec::new()),
            Some(bytes) => codec::decode_neighbours(&bytes)
                .map_err(|error| server.unreadable("neighbours", error)),
        })
        .collect()
}
