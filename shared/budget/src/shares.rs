//! How a budget is split.

use std::time::Duration;

use garde::Validate;
use plugrank_settings::rules::share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Stage;

/// Share of the budget each stage may take, in the order the stages run. They may add up to less than 1:
/// the rest is the reserve for what surrounds the stages (parsing, writing the reply).
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_budget::{Shares, Stage};
///
/// let shares = Shares { retrieval: 0.25, scoring: 0.5, reranking: 0.15 };
/// let total = Duration::from_millis(100);
/// assert_eq!(shares.share_of(Stage::Scoring, total), Duration::from_millis(50));
/// // Scoring ends by here even if retrieval took less than its share.
/// assert_eq!(shares.end_of(Stage::Scoring, total), Duration::from_millis(75));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// Retrieval's share.
    #[garde(custom(share))]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub retrieval: f64,
    /// Scoring's share.
    #[garde(custom(share))]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub scoring: f64,
    /// Re-ranking's share.
    #[garde(custom(share))]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub reranking: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self { retrieval: 0.25, scoring: 0.55, reranking: 0.15 }
    }
}

impl Shares {
    fn in_order(&self) -> [f64; Stage::ALL.len()] {
        [self.retrieval, self.scoring, self.reranking]
    }

    /// What `stage` may take of `total`, without what others lend it.
    #[must_use]
    pub fn share_of(&self, stage: Stage, total: Duration) -> Duration {
        total.mul_f64(self.in_order()[stage as usize])
    }

    /// The part of `total` after which `stage` must have ended.
    #[must_use]
    pub fn end_of(&self, stage: Stage, total: Duration) -> Duration {
        let cumulative: f64 = self.in_order()[..=stage as usize].iter().sum();
        total.mul_f64(cumulative.min(1.0))
    }
}
