//! Settings that a running gateway takes up.

use plugrank_budget::BudgetOptions;

use crate::{ExperimentsOptions, Gateway};

/// What may change while a gateway serves.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveOptions {
    /// Latency budgets and the ladder.
    pub budget: BudgetOptions,
    /// Candidates asked of retrieval when the caller names none.
    pub candidate_limit: u32,
    /// How experiments are followed and forced.
    pub experiments: ExperimentsOptions,
    /// Most models loaded or loading at a time, the active one included.
    pub max_loaded: usize,
    /// Share of requests that another ready model ranks too, in the shadow.
    pub shadow_share: f64,
}

impl Gateway {
    /// Takes up other options, from the next request on.
    pub(crate) fn take_up(&self, options: LiveOptions) {
        self.controller.set(&options.budget);
        self.experiments.set_options(options.experiments.clone());
        self.models.set_max_loaded(options.max_loaded);
        self.shadow.set_share(options.shadow_share);
        self.live.store(options.into());
    }
}
