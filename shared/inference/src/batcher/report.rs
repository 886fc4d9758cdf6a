//! What a batch reports; the owner of the metrics records it.

use std::{sync::Arc, time::Duration};

use super::shape::Shape;

/// Why a batch closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// It holds as many rows as a batch may have.
    RowLimit,
    /// The tightest deadline in it leaves just enough time for the predicted run.
    Deadline,
    /// A worker was idle and waiting would have gained nothing.
    WorkerIdle,
    /// It waited for more rows as long as it may.
    Waited,
    /// A batch failed, and each of its entries is run alone.
    Retried,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::RowLimit, Self::Deadline, Self::WorkerIdle, Self::Waited, Self::Retried];

    /// Name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RowLimit => "row_limit",
            Self::Deadline => "deadline",
            Self::WorkerIdle => "worker_idle",
            Self::Waited => "waited",
            Self::Retried => "retried",
        }
    }
}

/// One batch that ran.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchReport {
    /// Why it closed.
    pub reason: CloseReason,
    /// Entries in it.
    pub entries: usize,
    /// Rows asked for.
    pub rows: usize,
    /// Rows run, padding included.
    pub padded_rows: usize,
    /// The shape it ran in.
    pub shape: Shape,
    /// How long its oldest entry had waited when it closed.
    pub oldest: Duration,
    /// How long the run took, writing the inputs and reading the outputs included.
    pub run: Duration,
    /// Whether it gave an answer.
    pub succeeded: bool,
}

impl BatchReport {
    /// Share of the rows run that were padding, 0 to 1.
    #[must_use]
    pub fn padding_share(&self) -> f64 {
        if self.padded_rows == 0 {
            return 0.0;
        }
        1.0 - self.rows as f64 / self.padded_rows as f64
    }
}

/// Receives what batches report. Called on the threads that run them; must be quick.
pub trait BatchObserver: Send + Sync + 'static {
    /// A batch ran.
    fn batch(&self, report: &BatchReport);
    /// Entries left the queue without being run: their deadline passed, or their call was dropped.
    fn left(&self, expired: usize, cancelled: usize);
}

/// Ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl BatchObserver for NoObserver {
    fn batch(&self, _: &BatchReport) {}
    fn left(&self, _: usize, _: usize) {}
}

impl<O: BatchObserver + ?Sized> BatchObserver for Arc<O> {
    fn batch(&self, report: &BatchReport) {
        (**self).batch(report);
    }
    fn left(&self, expired: usize, cancelled: usize) {
        (**self).left(expired, cancelled);
    }
}
