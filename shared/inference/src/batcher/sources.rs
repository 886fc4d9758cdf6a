//! What a graph reads of one user, as blocks of elements.
//!
//! The rules are those of `docs/bundle-format.md`, "Graphs and where their inputs come from". Both
//! the user encoder and the ID-based graph read histories; this is the one place that says how.

use plugrank_bundle::{
    TensorDtype,
    features::FeatureSlot,
    manifest::TimeKind,
    record::{ItemRecordLayout, RecordPart},
};
use plugrank_contract::{Dtype, HistoryEntry, TimestampMs, history::time_bucket};

use crate::{BlockMut, TensorData};

/// A user's history as graphs read it: newest first, and never empty. A user without history has
/// one entry with mask 0.
#[derive(Clone, Copy, Debug)]
pub struct HistoryBlock<'a> {
    /// Entries, newest first.
    pub entries: &'a [HistoryEntry],
    /// Whether intervals are known.
    pub time: TimeKind,
}

impl HistoryBlock<'_> {
    /// Rows: entries, at least 1.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.entries.len().max(1)
    }

    /// 1 for a click, 0 for an impression. i64 `[rows]`.
    #[must_use]
    pub fn label(&self) -> TensorData {
        self.integers(|entry| i64::from(entry.clicked))
    }

    /// Bucket of the interval between the newest entry and each. i64 `[rows]`.
    #[must_use]
    pub fn age_bucket(&self) -> TensorData {
        let newest = self.entries.first().map_or(0, |entry| entry.timestamp);
        self.integers(|entry| self.bucket(newest.saturating_sub(entry.timestamp)))
    }

    /// 1 for an entry, 0 for the one that stands in for none. f32 `[rows]`.
    #[must_use]
    pub fn mask(&self) -> TensorData {
        mask(self.entries.len())
    }

    /// Bucket of the interval between the newest entry and the request; 0 without history.
    #[must_use]
    pub fn recency_bucket(&self, as_of: TimestampMs) -> u8 {
        let newest = self.entries.first();
        let bucket = newest.map_or(0, |entry| self.bucket(as_of.saturating_sub(entry.timestamp)));
        u8::try_from(bucket).unwrap_or(u8::MAX)
    }

    fn bucket(&self, interval_ms: i64) -> i64 {
        match self.time {
            TimeKind::Ms => i64::from(time_bucket(interval_ms)),
            TimeKind::Order => 0,
        }
    }

    fn integers(&self, of: impl Fn(&HistoryEntry) -> i64) -> TensorData {
        let mut values: Vec<i64> = self.entries.iter().map(of).collect();
        values.resize(self.rows(), 0);
        TensorData::I64(values)
    }
}

/// The mask of a history of this many entries. f32, at least one element.
#[must_use]
pub fn mask(entries: usize) -> TensorData {
    let mut mask = vec![1.0; entries];
    mask.resize(entries.max(1), 0.0);
    TensorData::F32(mask)
}

/// One feature of several items or users, `slot.length` cells each; zeros up to `rows` rows.
#[must_use]
pub fn feature_block<'a>(
    slot: &FeatureSlot,
    features: impl Iterator<Item = &'a [u32]>,
    rows: usize,
) -> TensorData {
    let cells = features.take(rows).flat_map(|row| row[slot.cells()].iter().copied());
    let length = rows * slot.length;
    match slot.dtype {
        TensorDtype::I64 => {
            let mut ids = Vec::with_capacity(length);
            ids.extend(cells.map(i64::from));
            ids.resize(length, 0);
            TensorData::I64(ids)
        }
        TensorDtype::F32 | TensorDtype::F16 => {
            let mut numbers = Vec::with_capacity(length);
            numbers.extend(cells.map(f32::from_bits));
            numbers.resize(length, 0.0);
            TensorData::F32(numbers)
        }
    }
}

/// Action or value of a history's entries, of which `rows` has a row each; zeros where there is no entry.
#[must_use]
pub fn told_block(slot: &FeatureSlot, rows: &[u32], entries: usize) -> TensorData {
    let width = rows.len().checked_div(entries).unwrap_or_default();
    feature_block(slot, rows.chunks_exact(width.max(1)), entries.max(1))
}

/// Writes cells of a feature into a block that has room for them.
///
/// # Errors
/// When the block has another type or length.
pub fn write_cells(cells: &[u32], slot: &FeatureSlot, to: &mut BlockMut<'_>) -> Result<(), String> {
    let wrong = |found: usize| {
        format!("feature `{}` has {} elements, and the graph takes {found}", slot.name, cells.len())
    };
    match (slot.dtype, to) {
        (TensorDtype::I64, BlockMut::I64(to)) if to.len() == cells.len() => {
            to.iter_mut().zip(cells).for_each(|(to, cell)| *to = i64::from(*cell));
        }
        (TensorDtype::F32, BlockMut::F32(to)) if to.len() == cells.len() => {
            to.iter_mut().zip(cells).for_each(|(to, cell)| *to = f32::from_bits(*cell));
        }
        (_, to) => return Err(wrong(to.len())),
    }
    Ok(())
}

/// One part of several item records, `part.dim` elements each; zeros up to `rows` rows.
#[must_use]
pub fn record_block<'a>(
    layout: &ItemRecordLayout,
    part: &RecordPart,
    records: impl Iterator<Item = &'a [u8]>,
    rows: usize,
) -> TensorData {
    let width = part.dim * layout.dtype.size();
    let mut bytes = Vec::with_capacity(rows * width);
    for record in records.take(rows) {
        bytes.extend_from_slice(layout.slice(part, record));
    }
    bytes.resize(rows * width, 0);
    matrix_data(layout.dtype, &bytes)
}

/// Elements of a matrix's bytes; an element cut short at the end is left out.
#[must_use]
pub fn matrix_data(dtype: Dtype, bytes: &[u8]) -> TensorData {
    let whole = bytes.len() - bytes.len() % dtype.size();
    let of = |dtype| TensorData::from_le_bytes(dtype, &bytes[..whole]);
    match dtype {
        Dtype::F16 => of(TensorDtype::F16).unwrap_or(TensorData::F16(Vec::new())),
        Dtype::F32 => of(TensorDtype::F32).unwrap_or(TensorData::F32(Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::ItemId;

    use super::*;

    fn entry(clicked: bool, timestamp: TimestampMs) -> HistoryEntry {
        HistoryEntry::new(ItemId::from("1"), clicked, timestamp)
    }

    #[test]
    fn recency_is_measured_from_the_newest_entry() {
        let entries = [entry(true, 9_000), entry(false, 5_000), entry(true, 1_000)];
        let history = HistoryBlock { entries: &entries, time: TimeKind::Ms };
        assert_eq!(history.label(), TensorData::I64(vec![1, 0, 1]));
        assert_eq!(history.age_bucket(), TensorData::I64(vec![1, 3, 4]));
        assert_eq!(history.mask(), TensorData::F32(vec![1.0; 3]));
        assert_eq!(history.recency_bucket(9_000 + 1_024_000), 11);
        let order = HistoryBlock { time: TimeKind::Order, ..history };
        assert_eq!(order.age_bucket(), TensorData::I64(vec![0; 3]));
        assert_eq!(order.recency_bucket(1 << 40), 0);
    }

    #[test]
    fn entry_features_have_a_row_per_entry() {
        let slot = |offset, dtype| FeatureSlot { name: "x".into(), offset, length: 1, dtype };
        let (action, value) = (slot(0, TensorDtype::I64), slot(1, TensorDtype::F32));
        let rows = [3, 0.5_f32.to_bits(), 1, 2_f32.to_bits()];
        assert_eq!(told_block(&action, &rows, 2), TensorData::I64(vec![3, 1]));
        assert_eq!(told_block(&value, &rows, 2), TensorData::F32(vec![0.5, 2.0]));
        assert_eq!(told_block(&action, &[], 0), TensorData::I64(vec![0]));
    }

    #[test]
    fn no_history_is_one_masked_entry() {
        let history = HistoryBlock { entries: &[], time: TimeKind::Ms };
        assert_eq!(history.rows(), 1);
        assert_eq!(history.mask(), TensorData::F32(vec![0.0]));
        assert_eq!(history.age_bucket(), TensorData::I64(vec![0]));
        assert_eq!(history.recency_bucket(5), 0);
    }

    #[test]
    fn blocks_take_their_slice_of_each_row() {
        let dtype = TensorDtype::I64;
        let slot = FeatureSlot { name: "c".into(), offset: 1, length: 2, dtype };
        let rows = [[1_u32, 2, 3], [4, 5, 6]];
        let block = feature_block(&slot, rows.iter().map(|row| &row[..]), 3);
        assert_eq!(block, TensorData::I64(vec![2, 3, 5, 6, 0, 0]));
        let numbers = FeatureSlot { dtype: TensorDtype::F32, ..slot };
        let row = [9, 0.5_f32.to_bits(), (-2.0_f32).to_bits()];
        let block = feature_block(&numbers, std::iter::once(&row[..]), 1);
        assert_eq!(block, TensorData::F32(vec![0.5, -2.0]));
        let part = |name: &str, offset, dim| RecordPart { name: name.into(), offset, dim };
        let layout = ItemRecordLayout {
            parts: vec![part("a", 0, 1), part("b", 1, 1)],
            dim: 2,
            dtype: Dtype::F32,
            vector: Some(0),
        };
        let records: Vec<Vec<u8>> = [[1f32, 2.], [3., 4.]]
            .iter()
            .map(|row| row.iter().flat_map(|x| x.to_le_bytes()).collect())
            .collect();
        let block = record_block(&layout, &layout.parts[1], records.iter().map(Vec::as_slice), 2);
        assert_eq!(block, TensorData::F32(vec![2., 4.]));
    }
}
