//! Section `[budget]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// Latency budgets of rank requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSettings {
    /// Budget of a request that does not name one.
    pub default_ms: u64,
    /// Largest budget a caller may name.
    pub ceiling_ms: u64,
    /// How a budget is split.
    pub shares: ShareSettings,
}

/// Share of a budget each stage may take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareSettings {
    /// Retrieval's share.
    pub retrieval: f64,
    /// Scoring's share.
    pub scoring: f64,
    /// Re-ranking's share.
    pub reranking: f64,
}

impl BudgetSettings {
    /// Budget of a request that does not name one.
    #[must_use]
    pub fn default_budget(&self) -> Duration {
        Duration::from_millis(self.default_ms)
    }

    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("budget.ceiling_ms", self.ceiling_ms, 1..=600_000);
        if self.ceiling_ms > 0 {
            checks.range("budget.default_ms", self.default_ms, 1..=self.ceiling_ms);
        }
        let shares = [
            ("budget.shares.retrieval", self.shares.retrieval),
            ("budget.shares.scoring", self.shares.scoring),
            ("budget.shares.reranking", self.shares.reranking),
        ];
        let mut sum = 0.0;
        for (key, share) in shares {
            checks.share(key, share);
            sum += share;
        }
        if sum > 1.0 + 1e-9 {
            let allowed = "at most 1 when added up".to_owned();
            checks.fail("budget.shares", format!("{sum:.3} when added up"), allowed);
        }
    }
}
