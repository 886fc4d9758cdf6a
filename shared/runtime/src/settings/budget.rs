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
    /// Candidates scored on every rung below the best.
    pub fewer_candidates: u32,
    /// What becomes of a request that could not be answered in time at the present backlog.
    pub on_overload: OverloadChoice,
    /// How a budget is split.
    pub shares: ShareSettings,
    /// When stages step down to a lesser answer, and up again.
    pub ladder: LadderSettings,
}

/// What becomes of a request that could not be answered in time at the present backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverloadChoice {
    /// It is answered 503 at once, with `Retry-After`.
    Refuse,
    /// It is answered in retrieval's order.
    Degrade,
}

/// When stages step down to a lesser answer, and up again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LadderSettings {
    /// How far back a percentile looks.
    pub window_ms: u64,
    /// Part of its share that a stage's p99 reaches when it steps down.
    pub down_at: f64,
    /// Part of its share below which a stage's p99 leaves room.
    pub up_at: f64,
    /// Least time between a step and the next one down.
    pub settle_ms: u64,
    /// How long a stage must have had room before it steps up.
    pub recover_ms: u64,
    /// The rung every request stands on, for measuring what it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<RungChoice>,
}

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RungChoice {
    /// The unified model over all candidates.
    Full,
    /// Over fewer candidates.
    FewerCandidates,
    /// Without re-ranking.
    CtrOrder,
    /// With the vectors held in process alone.
    MissingVectors,
    /// The ID-based model.
    Idrec,
    /// No scores at all.
    RetrievalOrder,
}

impl LadderSettings {
    fn check(&self, checks: &mut Checks) {
        checks.range("budget.ladder.window_ms", self.window_ms, 100..=60_000);
        checks.range("budget.ladder.down_at", self.down_at, 0.1..=10.0);
        checks.range("budget.ladder.up_at", self.up_at, 0.01..=10.0);
        if self.up_at >= self.down_at {
            let allowed = format!("below budget.ladder.down_at ({})", self.down_at);
            checks.fail("budget.ladder.up_at", self.up_at.to_string(), allowed);
        }
        checks.range("budget.ladder.settle_ms", self.settle_ms, 10..=60_000);
        checks.range("budget.ladder.recover_ms", self.recover_ms, 10..=600_000);
    }
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
        checks.range("budget.fewer_candidates", self.fewer_candidates, 1..=10_000);
        self.ladder.check(checks);
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
