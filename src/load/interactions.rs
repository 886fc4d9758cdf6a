//! Histories, item statistics and co-visitation, in one pass over the interactions.

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use plugrank_contract::{HistoryEntry, TimestampMs, UserId};
use plugrank_dataset::{DatasetFolder, InteractionRow, Time};
use plugrank_store::{Decayed, ItemStats, Store};

use super::{
    LoadError, LoadOptions, LoadReport, Progress, catalog::Items, co_visitation::CoVisitation,
    writers::Writers,
};

/// Rows that are written at a time.
const ROWS: usize = 16_384;

/// What was counted along the way.
pub(super) struct Counted {
    stats: Vec<ItemStats>,
    pairs: CoVisitation,
}

impl Counted {
    /// The log's end counts as now, so that what is loaded stands beside what happens from now on. Where
    /// timestamps are no moments, nothing of it is older than the rest.
    fn as_of_now(&mut self, time: Time) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = since.as_millis() as TimestampMs;
        let newest = self.stats.iter().map(|stats| stats.popularity.at).max().unwrap_or(0);
        for stats in &mut self.stats {
            match time {
                Time::Ms => stats.popularity.at += now - newest,
                Time::Order => {
                    stats.popularity = Decayed { value: stats.clicks as f64, at: now };
                }
            }
        }
    }
}

pub(super) async fn load(
    store: &Arc<dyn Store>,
    folder: &DatasetFolder,
    items: &Items,
    options: LoadOptions<'_>,
    progress: &Progress,
    report: &mut LoadReport,
) -> Result<Counted, LoadError> {
    let batches = folder.interactions_without_requests()?;
    let bar = progress.bar("interactions", batches.rows());
    let half_life = Some(options.co_visitation_half_life);
    let half_life = half_life.filter(|_| folder.meta().time == Time::Ms);
    let mut counted = Counted {
        stats: vec![ItemStats::default(); items.len()],
        pairs: CoVisitation::new(items.len(), half_life),
    };
    let mut users: HashMap<UserId, u32> = HashMap::new();
    let mut waiting = Vec::with_capacity(ROWS);
    let mut writers = Writers::default();
    // Which of two equal entries is written first makes no difference to the store.
    let put = |entries| {
        let store = Arc::clone(store);
        async move { store.put_history(entries).await }
    };
    for batch in batches {
        for row in batch? {
            bar.inc(1);
            if options.until.is_some_and(|until| row.timestamp >= until) {
                report.later += 1;
                continue;
            }
            report.interactions += 1;
            match items.position(&row.item_id) {
                None => report.unknown_items += 1,
                Some(item) => {
                    let stats = &mut counted.stats[item as usize];
                    stats.impressions += 1;
                    if row.clicked {
                        stats.clicks += 1;
                        stats.popularity.add(1.0, row.timestamp, options.popularity_half_life);
                        let next = u32::try_from(users.len())
                            .map_err(|_| LoadError::TooLarge("more than 4 billion users"))?;
                        let user = *users.entry(row.user_id.clone()).or_insert(next);
                        counted.pairs.click(user, item, row.timestamp);
                    }
                }
            }
            waiting.push(entry(row));
            if waiting.len() == ROWS {
                let full = mem::replace(&mut waiting, Vec::with_capacity(ROWS));
                writers.begin(put(full)).await?;
            }
        }
    }
    writers.begin(put(waiting)).await?;
    writers.end().await?;
    bar.finish();
    counted.as_of_now(folder.meta().time);
    Ok(counted)
}

/// Whose history gets which entry.
pub(super) fn entry(row: InteractionRow) -> (UserId, HistoryEntry) {
    let InteractionRow { user_id, item_id, timestamp, clicked, action, value, .. } = row;
    (user_id, HistoryEntry { item_id, clicked, timestamp, action, value })
}

/// Writes statistics and neighbours; answers how many items have neighbours.
pub(super) async fn write_counts(
    store: &Arc<dyn Store>,
    items: &Items,
    counted: Counted,
    progress: &Progress,
) -> Result<u64, LoadError> {
    let bar = progress.bar("co-visitation", items.len() as u64);
    let stats: Vec<_> = counted
        .stats
        .iter()
        .enumerate()
        .map(|(item, stats)| (items.id(item as u32).clone(), *stats))
        .collect();
    let mut writers = Writers::default();
    for chunk in stats.chunks(ROWS) {
        let (store, chunk) = (Arc::clone(store), chunk.to_vec());
        writers.begin(async move { store.put_item_stats(chunk).await }).await?;
    }
    let (mut waiting, mut listed) = (Vec::new(), 0);
    for (item, neighbours) in counted.pairs.neighbours() {
        let named = neighbours.into_iter().map(|(other, score)| (items.id(other).clone(), score));
        waiting.push((items.id(item).clone(), named.collect()));
        listed += 1;
        if waiting.len() == ROWS / 8 {
            let (store, full) = (Arc::clone(store), mem::take(&mut waiting));
            writers.begin(async move { store.put_neighbours(full).await }).await?;
            bar.set_position(u64::from(item));
        }
    }
    writers.end().await?;
    store.put_neighbours(waiting).await?;
    bar.finish();
    Ok(listed)
}
