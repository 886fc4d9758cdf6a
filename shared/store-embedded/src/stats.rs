//! Statistics and neighbours of items.

use plugrank_contract::ItemId;
use plugrank_store::{ItemStats, codec};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::error::Failure;

/// Item id to impressions and clicks counted from events.
pub(crate) const STATS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("stats");
/// Item id to impressions and clicks that the loader counted, kept apart so that loading again does
/// not forget events.
pub(crate) const LOADED_STATS: TableDefinition<&str, (u64, u64)> =
    TableDefinition::new("loaded_stats");
/// Item id to [`codec::encode_neighbours`].
pub(crate) const NEIGHBOURS: TableDefinition<&str, &[u8]> = TableDefinition::new("neighbours");

/// Adds to an item's statistics.
pub(crate) fn add(
    table: &mut Table<'_, &str, (u64, u64)>,
    id: &ItemId,
    impressions: u64,
    clicks: u64,
) -> Result<(), Failure> {
    if impressions == 0 && clicks == 0 {
        return Ok(());
    }
    let (shown, clicked) = table.get(id.as_str())?.map_or((0, 0), |value| value.value());
    let sum = (shown.saturating_add(impressions), clicked.saturating_add(clicks));
    table.insert(id.as_str(), sum)?;
    Ok(())
}

pub(crate) fn put(txn: &WriteTransaction, stats: &[(ItemId, ItemStats)]) -> Result<(), Failure> {
    let mut table = txn.open_table(LOADED_STATS)?;
    for (id, stats) in stats {
        table.insert(id.as_str(), (stats.impressions, stats.clicks))?;
    }
    Ok(())
}

pub(crate) fn get(txn: &ReadTransaction, ids: &[ItemId]) -> Result<Vec<ItemStats>, Failure> {
    let tables = [txn.open_table(LOADED_STATS)?, txn.open_table(STATS)?];
    ids.iter()
        .map(|id| {
            let mut sum = ItemStats::default();
            for table in &tables {
                let (impressions, clicks) =
                    table.get(id.as_str())?.map_or((0, 0), |value| value.value());
                sum.impressions = sum.impressions.saturating_add(impressions);
                sum.clicks = sum.clicks.saturating_add(clicks);
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
        table.insert(id.as_str(), codec::encode_neighbours(list).as_slice())?;
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
