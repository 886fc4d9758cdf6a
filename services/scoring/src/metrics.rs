//! What the service counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start; the edge turns them into metrics. Batches are told to the
/// `BatchObserver` the service is built with.
#[derive(Debug, Default)]
pub struct ScoringMetrics {
    rows: AtomicU64,
    missing_rows: AtomicU64,
    not_finite: AtomicU64,
    without_value: AtomicU64,
}

/// The values of [`ScoringMetrics`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScoringCounts {
    /// Candidate rows scored.
    pub rows: u64,
    /// Of those, scored with the missing-vector.
    pub missing_rows: u64,
    /// Logits that were no finite number; their `ctr` is 0, so that they sink.
    pub not_finite: u64,
    /// Candidates whose value by the formula was no finite number.
    pub without_value: u64,
}

impl ScoringMetrics {
    pub(crate) fn add(&self, rows: usize, missing: usize, not_finite: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.missing_rows.fetch_add(missing as u64, Ordering::Relaxed);
        self.not_finite.fetch_add(not_finite as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_without_value(&self, values: &[f32]) {
        let count = values.iter().filter(|value| !value.is_finite()).count();
        self.without_value.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The values now.
    #[must_use]
    pub fn snapshot(&self) -> ScoringCounts {
        ScoringCounts {
            rows: self.rows.load(Ordering::Relaxed),
            missing_rows: self.missing_rows.load(Ordering::Relaxed),
            not_finite: self.not_finite.load(Ordering::Relaxed),
            without_value: self.without_value.load(Ordering::Relaxed),
        }
    }
}
