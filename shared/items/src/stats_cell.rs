//! An item's statistics, which events change while readers read them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use plugrank_store::{Decayed, ItemStats};

/// How often an item was shown and clicked, and how popular it is.
#[derive(Debug, Default)]
pub(crate) struct StatsCell {
    impressions: AtomicU32,
    clicks: AtomicU32,
    /// The value's bits (f32) above its moment, in seconds since 1970: so both are of one write.
    popularity: AtomicU64,
}

impl StatsCell {
    pub(crate) fn get(&self) -> ItemStats {
        ItemStats {
            impressions: self.impressions.load(Ordering::Relaxed).into(),
            clicks: self.clicks.load(Ordering::Relaxed).into(),
            popularity: unpacked(self.popularity.load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn set(&self, stats: ItemStats) {
        // Counts beyond four thousand million are all alike.
        let saturated = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        self.impressions.store(saturated(stats.impressions), Ordering::Relaxed);
        self.clicks.store(saturated(stats.clicks), Ordering::Relaxed);
        self.popularity.store(packed(stats.popularity), Ordering::Relaxed);
    }
}

fn packed(Decayed { value, at }: Decayed) -> u64 {
    let seconds = u32::try_from((at / 1000).max(0)).unwrap_or(u32::MAX);
    u64::from((value as f32).to_bits()) << 32 | u64::from(seconds)
}

fn unpacked(packed: u64) -> Decayed {
    let value = f32::from_bits((packed >> 32) as u32);
    Decayed { value: value.into(), at: i64::from(packed as u32) * 1000 }
}
