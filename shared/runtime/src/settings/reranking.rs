//! Section `[reranking]`.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The re-ranking service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankingSettings {
    /// Weight of the click probability against diversity: 1 is probability alone.
    pub lambda: f64,
    /// Candidates, best first, that diversity looks at.
    pub pool: usize,
    /// Most items of one main category in the window; 0: no cap.
    pub category_cap: usize,
    /// Length of the window the cap holds in.
    pub category_window: usize,
    /// Share of the places kept for fresh items.
    pub exploration_share: f64,
    /// Age up to which an item is fresh, in days.
    pub fresh_days: u32,
    /// Calls in flight at a time.
    pub max_in_flight: usize,
}

impl RerankingSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("reranking.lambda", self.lambda, 0.01..=1.0);
        checks.range("reranking.pool", self.pool, 1..=100_000);
        checks.range("reranking.category_cap", self.category_cap, 0..=10_000);
        checks.range("reranking.category_window", self.category_window, 1..=10_000);
        checks.range("reranking.exploration_share", self.exploration_share, 0.0..=0.5);
        checks.range("reranking.fresh_days", self.fresh_days, 1..=36_500);
        checks.range("reranking.max_in_flight", self.max_in_flight, 1..=1_000_000);
    }
}
