//! Measures that must not get worse.

use serde::{Deserialize, Serialize};

use super::{Comparison, Estimate, Measure, Metric, Moments, Sequential};
use crate::{Guardrail, GuardrailMetric};

/// Units an arm needs before a guardrail judges it: below them a mean is not about normal.
const UNITS_MIN: u64 = 100;

/// What a guardrail says of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuardrailVerdict {
    /// Not worse than the margin allows, as far as can be seen.
    Ok,
    /// It looks worse than the margin allows; that may still be chance.
    Watch,
    /// It is worse than the margin allows, beyond doubt: stop the arm.
    Stop,
    /// Too few units to say.
    Unknown,
}

/// A guardrail's verdict on an arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuardrailResult {
    /// The arm.
    pub arm: String,
    /// What is watched.
    pub metric: GuardrailMetric,
    /// By how much it may be worse.
    pub margin: f64,
    /// By how much it is worse than the control; negative if it is better.
    pub worse: Option<f64>,
    /// The least by which it is worse, at every look.
    pub at_least: Option<f64>,
    /// The verdict.
    pub verdict: GuardrailVerdict,
}

/// Judges an arm. It is stopped once the whole always-valid interval is beyond the margin, so that
/// of arms within it at most `alpha` are stopped, however often one looks.
pub(super) fn judge(
    guardrail: &Guardrail,
    name: &str,
    (control, arm): (&Moments, &Moments),
    (alpha, sequential): (f64, &Sequential),
) -> GuardrailResult {
    let measure = match guardrail.metric {
        GuardrailMetric::Late => Measure::Late,
        GuardrailMetric::Degraded => Measure::Degraded,
        GuardrailMetric::Errors => Measure::Errors,
        GuardrailMetric::Coverage => Measure::Coverage,
    };
    let sign = if guardrail.metric == GuardrailMetric::Coverage { -1.0 } else { 1.0 };
    let metric = Metric::Ratio(measure, Measure::Exposures);
    let estimates = Estimate::new(control, metric).zip(Estimate::new(arm, metric));
    let mut result = GuardrailResult {
        arm: name.to_owned(),
        metric: guardrail.metric,
        margin: guardrail.margin,
        worse: None,
        at_least: None,
        verdict: GuardrailVerdict::Unknown,
    };
    let Some((control, arm)) = estimates else { return result };
    let worse = sign * (arm.value - control.value);
    let at_least = Comparison::new(&control, &arm, alpha, sequential).map_or(worse, |found| {
        let interval = found.always_valid_interval;
        if sign > 0.0 { interval.low } else { -interval.high }
    });
    (result.worse, result.at_least) = (Some(worse), Some(at_least));
    result.verdict = if control.units.min(arm.units) < UNITS_MIN {
        GuardrailVerdict::Unknown
    } else if at_least > guardrail.margin {
        GuardrailVerdict::Stop
    } else if worse > guardrail.margin {
        GuardrailVerdict::Watch
    } else {
        GuardrailVerdict::Ok
    };
    result
}
