//! Whether a request was degraded, late or failed.

use std::fmt;

use opentelemetry::{Array, Value};
use opentelemetry_sdk::trace::SpanData;
use serde::Serialize;

use super::span_data::{attribute, failed, number};

/// Attribute of a request's span: whether its answer is less than it could be.
pub const DEGRADED: &str = "plugrank.degraded";
/// Attribute: the whole budget, in milliseconds.
pub const TOTAL_MS: &str = "plugrank.budget.total_ms";
/// Attribute: the part of the budget a stage or call was given, in milliseconds.
pub const ALLOTTED_MS: &str = "plugrank.budget.allotted_ms";
/// Attribute: the time it took, in milliseconds.
pub const SPENT_MS: &str = "plugrank.budget.spent_ms";
/// Attribute: how it ended.
pub const OUTCOME: &str = "plugrank.budget.outcome";
/// Attribute of a stage's span: the rung of the ladder it took.
pub const RUNG: &str = "plugrank.rung";
const STATUS: &str = "http.response.status_code";

/// Why an operator would look at a request. Its spans are exported at any sampled share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The answer is less than it could be.
    Degraded,
    /// It took longer than it was given.
    OverBudget,
    /// It, or something done for it, failed.
    Error,
}

impl Cause {
    pub(crate) const ALL: [Self; 3] = [Self::Degraded, Self::OverBudget, Self::Error];

    /// The gravest that applies.
    #[must_use]
    pub const fn worst(failed: bool, over_budget: bool, degraded: bool) -> Option<Self> {
        match (failed, over_budget, degraded) {
            (true, _, _) => Some(Self::Error),
            (_, true, _) => Some(Self::OverBudget),
            (_, _, true) => Some(Self::Degraded),
            _ => None,
        }
    }

    /// Name in metrics and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::OverBudget => "over_budget",
            Self::Error => "error",
        }
    }

    /// That of the request whose root span in this process this is.
    #[must_use]
    pub fn of_root(root: &SpanData) -> Option<Self> {
        let status = number(root, STATUS).is_some_and(|status| status >= 500.0);
        let given = number(root, TOTAL_MS).or_else(|| number(root, ALLOTTED_MS));
        let over = number(root, SPENT_MS).zip(given).is_some_and(|(spent, given)| spent > given);
        let cut =
            matches!(attribute(root, OUTCOME), Some(Value::String(how)) if how.as_str() == "cut");
        let degraded = attribute(root, DEGRADED).is_some_and(holds);
        Self::worst(status || failed(root), over || cut, degraded)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn holds(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::I64(count) => *count > 0,
        Value::F64(count) => *count > 0.0,
        Value::String(text) => !matches!(text.as_str(), "" | "false"),
        Value::Array(Array::String(list)) => !list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{KeyValue, trace::Status};

    use super::*;
    use crate::telemetry::testing::span;

    fn cause(attributes: Vec<KeyValue>) -> Option<Cause> {
        Cause::of_root(&span(1, 1, None, attributes))
    }

    #[test]
    fn the_cause_is_read_from_the_root_span() {
        assert_eq!(cause(vec![]), None);
        assert_eq!(cause(vec![KeyValue::new(STATUS, 200)]), None);
        assert_eq!(cause(vec![KeyValue::new(STATUS, 404)]), None, "the caller's fault");
        assert_eq!(cause(vec![KeyValue::new(STATUS, 503)]), Some(Cause::Error));
        assert_eq!(cause(vec![KeyValue::new(DEGRADED, false)]), None);
        assert_eq!(cause(vec![KeyValue::new(DEGRADED, true)]), Some(Cause::Degraded));
        let spent = |spent: f64, of: &'static str| {
            vec![KeyValue::new(SPENT_MS, spent), KeyValue::new(of, 50.0)]
        };
        assert_eq!(cause(spent(50.0, TOTAL_MS)), None);
        assert_eq!(cause(spent(50.1, TOTAL_MS)), Some(Cause::OverBudget));
        assert_eq!(cause(spent(50.1, ALLOTTED_MS)), Some(Cause::OverBudget));
        assert_eq!(cause(vec![KeyValue::new(OUTCOME, "completed")]), None);
        assert_eq!(cause(vec![KeyValue::new(OUTCOME, "cut")]), Some(Cause::OverBudget));
        let mut broken = span(1, 1, None, vec![KeyValue::new(DEGRADED, true)]);
        broken.status = Status::error("gone");
        assert_eq!(Cause::of_root(&broken), Some(Cause::Error), "the worst counts");
    }
}
