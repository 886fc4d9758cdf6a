//! Statistics and neighbours of items.

use std::time::Duration;

use plugrank_contract::{ItemId, TimestampMs};
use plugrank_store::{Decayed, ItemStats, codec, effect::Effect};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::{changed_rows::insert_changed, error::Failure};

/// Impressions, clicks, and the popularity with its moment.
pub(crate) type Stats = (u64, u64, f64, i64);
/// Item id to what was counted from events.
pub(crate) const STATS: TableDefinition<&str, Stats> = TableDefinition::new("stats");
/// Item id to what the loader counted, kept apart so that loading again does not forget events.
pub(crate) const LOADED_STATS: TableDefinition<&str, Stats> = TableDefinition::new("loaded_stats");
/// Item id to [`codec::encode_neighbours`].
pub(crate) const NEIGHBOURS: TableDefinition<&str, &[u8]> = TableDefinition::new("neighbours");

/// Adds to an item's statistics.
pub(crate) fn add(
    table: &mut Table<'_, &str, Stats>,
    id: &ItemId,
    effect: &Effect,
    at: TimestampMs,
    half_life: Duration,
) -> Result<(), Failure> {
    let Effect { impressions, clicks, weight, .. } = *effect;
    if impressions == 0 && clicks == 0 && weight == 0.0 {
        return Ok(());
    }
    let mut stats =
        table.get(id.as_str())?.map_or_else(ItemStats::default, |row| read(row.value()));
    stats.impressions = stats.impressions.saturating_add(impressions);
    stats.clicks = stats.clicks.saturating_add(clicks);
    if weight != 0.0 {
        stats.popularity.add(weight.into(), at, half_life);
    }
    table.insert(id.as_str(), row(&stats))?;
    Ok(())
}

fn row(stats: &ItemStats) -> Stats {
    let Decayed { value, at } = stats.popularity;
    (stats.impressions, stats.clicks, value, at)
}

fn read((impressions, clicks, value, at): Stats) -> ItemStats {
    ItemStats { impressions, clicks, popularity: Decayed { value, at } }
}

pub(crate) fn put(txn: &WriteTransaction, stats: &[(ItemId, ItemStats)]) -> Result<(), Failure> {
    let mut table = txn.open_table(LOADED_STATS)?;
    for (id, stats) in stats {
        table.insert(id.as_str(), row(stats))?;
    }
    Ok(())
}

pub(crate) fn get(
    txn: &ReadTransaction,
    ids: &[ItemId],
    half_life: Duration,
) -> Result<Vec<ItemStats>, Failure> {
    let tables = [txn.open_table(LOADED_STATS)?, txn.open_table(STATS)?];
    ids.iter()
        .map(|id| {
            let mut sum = ItemStats::default();
            for table in &tables {
                let Some(row) = table.get(id.as_str())? else { continue };
                let stats = read(row.value());
                sum.impressions = sum.impressions.saturating_add(stats.impressions);
                sum.clicks = sum.clicks.saturating_add(stats.clicks);
                sum.popularity = sum.popularity.plus(stats.popularity, half_life);
            }
            Ok(sum)
        })
        .collect()
}

pub(crate) fn put_neighbours(
    txn: &WriteTransaction,
    neighbours: &[(ItemId, Vec<(ItemId, f32)>)],
) -> Result<(), Failure> {
    let mut table = txn.open_table(NEIGHBOURS)?;
    for (id, list) in neighbours {
        insert_changed(&mut table, id.as_str(), &codec::encode_neighbours(list))?;
    }
    Ok(())
}

pub(crate) fn neighbours(
    txn: &ReadTransaction,
    ids: &[ItemId],
) -> Result<Vec<Vec<(ItemId, f32)>>, Failure> {
    let table = txn.open_table(NEIGHBOURS)?;
    ids.iter()
        .map(|id| match table.get(id.as_str())? {
            None => Ok(Vec::new()),
            Some(value) => codec::decode_neighbours(value.value())
                .map_err(|error| Failure::unreadable("neighbours", error)),
        })
        .collect()
}
