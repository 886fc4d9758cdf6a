//! What the service counts.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use plugrank_contract::scoring::ModelKind;

/// Counts since the start; the edge turns them into metrics. Batches are told to the
/// `BatchObserver` the service is built with.
#[derive(Debug, Default)]
pub struct ScoringMetrics {
    rows: AtomicU64,
    missing_rows: AtomicU64,
    not_finite: AtomicU64,
    without_value: AtomicU64,
    /// Of each model: what the one below it on the ladder answers well says nothing of it.
    recent: Mutex<[Recent; 2]>,
}

/// Scores of late; older ones count half as much each time the window is full.
#[derive(Debug, Default)]
struct Recent {
    scores: f64,
    not_finite: f64,
}

impl Recent {
    /// Scores that count in full.
    const WINDOW: f64 = 20_000.0;
    /// Fewer say nothing about a model.
    const LEAST: f64 = 100.0;

    fn add(&mut self, scores: usize, not_finite: usize) {
        self.scores += scores as f64;
        self.not_finite += not_finite as f64;
        if self.scores > Self::WINDOW {
            self.scores /= 2.0;
            self.not_finite /= 2.0;
        }
    }
}

/// The values of [`ScoringMetrics`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScoringCounts {
    /// Candidate rows scored.
    pub rows: u64,
    /// Of those, scored with the missing-vector.
    pub missing_rows: u64,
    /// Logits that were no finite number; their `ctr` is none either.
    pub not_finite: u64,
    /// Candidates whose value by the formula was no finite number.
    pub without_value: u64,
}

impl ScoringCounts {
    /// Each as a metric: its name, what it counts, its value.
    pub fn metrics(self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let Self { rows, missing_rows, not_finite, without_value } = self;
        let without =
            "Candidates whose value by scoring.value, or a formula of a call, was no finite number";
        [
            ("scored_rows", "Candidate rows scored", rows),
            ("scored_missing_rows", "Rows scored with the missing-vector", missing_rows),
            ("scores_not_finite", "Logits that were no finite number", not_finite),
            ("values_not_finite", without, without_value),
        ]
        .into_iter()
    }
}

impl ScoringMetrics {
    /// A call's candidates, those of them without a vector, and what happened to their scores: there are as many
    /// for a candidate as the model has tasks.
    pub(crate) fn add(
        &self,
        model: ModelKind,
        (rows, missing): (usize, usize),
        (scores, not_finite): (usize, usize),
    ) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.missing_rows.fetch_add(missing as u64, Ordering::Relaxed);
        self.not_finite.fetch_add(not_finite as u64, Ordering::Relaxed);
        self.recent.lock()[place(model)].add(scores, not_finite);
    }

    /// Share of a model's recent scores that were no finite numbers, once there are enough to say; of two
    /// models the larger one.
    #[must_use]
    pub fn not_finite_share(&self) -> Option<f64> {
        let recent = self.recent.lock();
        let enough = recent.iter().filter(|of| of.scores >= Recent::LEAST);
        enough.map(|of| of.not_finite / of.scores).reduce(f64::max)
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

fn place(model: ModelKind) -> usize {
    match model {
        ModelKind::Unified => 0,
        ModelKind::Idrec => 1,
    }
}

#[cfg(test)]
mod tests {
    use plugrank_contract::scoring::ModelKind;

    use super::ScoringMetrics;

    #[test]
    fn the_non_finite_share_covers_recent_scores_only() {
        let metrics = ScoringMetrics::default();
        let add = |model, scores, broken| metrics.add(model, (scores, 0), (scores, broken));
        add(ModelKind::Unified, 50, 50);
        assert_eq!(metrics.not_finite_share(), None, "too few to say");
        add(ModelKind::Unified, 50, 50);
        assert_eq!(metrics.not_finite_share(), Some(1.0));
        for _ in 0..200 {
            // Scores of the fallback model do not dilute the share.
            add(ModelKind::Idrec, 1000, 0);
        }
        assert_eq!(metrics.not_finite_share(), Some(1.0));
        for _ in 0..200 {
            add(ModelKind::Unified, 1000, 0);
        }
        assert!(metrics.not_finite_share().unwrap() < 0.001);
    }
}
