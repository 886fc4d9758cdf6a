//! Section `[budget]`.

use std::time::Duration;

use garde::Validate;
use plugrank_settings::rules::{at_most, finite, holds, share};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Latency budgets of rank requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSettings {
    /// A request's latency budget when the caller does not name one, in milliseconds, at most
    /// ceiling_ms.
    #[garde(range(min = 1, max = 600_000), custom(at_most(self.ceiling_ms)))]
    pub default_ms: u64,
    /// Largest budget a caller may name, in milliseconds.
    #[garde(range(min = 1, max = 600_000))]
    pub ceiling_ms: u64,
    /// Candidates scored on every rung below the best; never fewer than a request's k.
    #[garde(range(min = 1, max = 10_000))]
    pub fewer_candidates: u32,
    /// What becomes of a request that could not be answered in time at the present backlog.
    #[garde(skip)]
    pub on_overload: OnOverload,
    /// Share of the budget each stage may take, together at most 1. What a stage leaves unspent is lent
    /// to the next; what they leave of 1 is the reserve for reading and writing.
    #[garde(dive, custom(at_most_the_whole))]
    pub shares: ShareSettings,
    /// When stages step down to a lesser answer, and up again. See docs/budgets.md.
    #[garde(dive)]
    pub ladder: LadderSettings,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self {
            default_ms: 50,
            ceiling_ms: 2000,
            fewer_candidates: 100,
            on_overload: OnOverload::Refuse,
            shares: ShareSettings::default(),
            ladder: LadderSettings::default(),
        }
    }
}

impl BudgetSettings {
    /// Budget of a request that does not name one.
    #[must_use]
    pub fn default_budget(&self) -> Duration {
        Duration::from_millis(self.default_ms)
    }
}

/// What becomes of a request that could not be answered in time at the present backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOverload {
    /// It is answered 503 at once, with `Retry-After`.
    Refuse,
    /// It is answered in retrieval's order.
    Degrade,
}

/// How a budget is split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ShareSettings {
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

impl Default for ShareSettings {
    fn default() -> Self {
        Self { retrieval: 0.25, scoring: 0.55, reranking: 0.15 }
    }
}

fn at_most_the_whole(of: &ShareSettings, _: &()) -> garde::Result {
    let sum = of.retrieval + of.scoring + of.reranking;
    holds(sum <= 1.0 + 1e-9, || format!("at most 1 when added up, not {sum:.3}"))
}

/// When stages step down to a lesser answer, and up again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LadderSettings {
    /// How far back a percentile looks, in milliseconds.
    #[garde(range(min = 100, max = 60_000))]
    pub window_ms: u64,
    /// A stage steps down when its p99 reaches this part of its share.
    #[garde(range(min = 0.1, max = 10.0), custom(finite))]
    pub down_at: f64,
    /// A stage has room, and steps up after recover_ms, while its p99 stays below this part of its
    /// share. Below down_at, so that nothing steps to and fro.
    #[garde(range(min = 0.01, max = 10.0), custom(below_down_at(self.down_at)))]
    pub up_at: f64,
    /// Least time between a step and the next one down, in milliseconds.
    #[garde(range(min = 10, max = 60_000))]
    pub settle_ms: u64,
    /// How long a stage must have had room before it steps up by one rung, in milliseconds.
    #[garde(range(min = 10, max = 600_000))]
    pub recover_ms: u64,
    /// Put every request on one rung and keep it there, to measure what it costs.
    #[garde(skip)]
    #[schemars(example = &"idrec")]
    pub pin: Option<RungChoice>,
}

impl Default for LadderSettings {
    fn default() -> Self {
        Self {
            window_ms: 1000,
            down_at: 1.0,
            up_at: 0.6,
            settle_ms: 200,
            recover_ms: 800,
            pin: None,
        }
    }
}

fn below_down_at(down_at: f64) -> impl FnOnce(&f64, &()) -> garde::Result {
    move |up_at, ()| holds(*up_at < down_at, || format!("below budget.ladder.down_at ({down_at})"))
}

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
