//! What the queue and those who run batches have in common.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    backlog::Backlog, policy::Policy, report::BatchObserver, run_times::RunTimes, shape::Shape,
};

/// What the queue and those who run batches read without its lock.
pub(super) struct Shared {
    pub(super) name: Box<str>,
    pub(super) policy: Policy,
    pub(super) times: RunTimes,
    pub(super) backlog: Backlog,
    pub(super) observer: Arc<dyn BatchObserver>,
}

impl Shared {
    /// A model begins a batch.
    pub(super) fn began(&self, model: usize, shape: Shape, now: Instant) {
        let run = self.times.predict(shape).unwrap_or_default();
        self.backlog.began(model, now + run);
    }
}
