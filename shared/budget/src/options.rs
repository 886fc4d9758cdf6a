//! Latency budgets: section `[budget]` of the settings.

use std::time::Duration;

use garde::Validate;
use plugrank_settings::rules::{at_most, holds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LadderOptions, Shares};

/// Latency budgets of rank requests.
///
/// ```
/// use std::time::Duration;
///
/// use garde::Validate;
/// use plugrank_budget::{BudgetOptions, OnOverload, Shares};
///
/// let options = BudgetOptions { default_ms: 80, ..BudgetOptions::default() };
/// assert_eq!(options.default_budget(), Duration::from_millis(80));
/// assert_eq!(options.on_overload, OnOverload::Refuse);
/// let shares = Shares { retrieval: 0.5, scoring: 0.5, reranking: 0.5 };
/// let error = BudgetOptions { shares, ..options }.validate().unwrap_err().to_string();
/// assert!(error.contains("at most 1 when added up"), "{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetOptions {
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
    /// What happens to a request that could not be answered in time at the present backlog.
    #[garde(skip)]
    pub on_overload: OnOverload,
    /// Share of the budget each stage may take, together at most 1. What a stage leaves unspent is lent
    /// to the next; what they leave of 1 is the reserve for reading and writing.
    #[garde(dive, custom(at_most_the_whole))]
    pub shares: Shares,
    /// When stages step down to a lesser answer, and up again. See docs/budgets.md.
    #[garde(dive)]
    pub ladder: LadderOptions,
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self {
            default_ms: 50,
            ceiling_ms: 2000,
            fewer_candidates: 100,
            on_overload: OnOverload::Refuse,
            shares: Shares::default(),
            ladder: LadderOptions::default(),
        }
    }
}

impl BudgetOptions {
    /// Budget of a request that does not name one.
    #[must_use]
    pub fn default_budget(&self) -> Duration {
        Duration::from_millis(self.default_ms)
    }
}

/// What happens to a request that could not be answered in time at the present backlog.
///
/// [`BudgetOptions`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOverload {
    /// It is answered 503 at once, with `Retry-After`.
    Refuse,
    /// It is answered in retrieval's order.
    Degrade,
}

fn at_most_the_whole(of: &Shares, _: &()) -> garde::Result {
    let sum = of.retrieval + of.scoring + of.reranking;
    holds(sum <= 1.0 + 1e-9, || format!("at most 1 when added up, not {sum:.3}"))
}

#[cfg(test)]
mod tests {
    use plugrank_settings::check;

    use super::*;

    #[test]
    fn invalid_budget_shares_are_refused() {
        let refused = |retrieval, scoring, reranking| {
            let shares = Shares { retrieval, scoring, reranking };
            let problems = check(&BudgetOptions { shares, ..BudgetOptions::default() });
            let keys = problems.err().into_iter().flatten().map(|problem| problem.key);
            keys.collect::<Vec<_>>()
        };
        assert_eq!(refused(0.2, 0.0, 0.1), ["shares.scoring"]);
        assert!(refused(0.2, f64::NAN, 0.1).contains(&"shares.scoring".to_owned()));
        assert_eq!(refused(0.5, 0.5, 0.5), ["shares"]);
        assert_eq!(refused(0.2, 0.7, 0.1), [""; 0]);
    }
}
