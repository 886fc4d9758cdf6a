//! Measures that must not get worse.

use serde::{Deserialize, Serialize};

use super::{Collected, Comparison, Estimate, Measure, Metric, Sequential};
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

/// Judges an arm, by the places of the control and of it. It is stopped once the whole always-valid interval is
/// beyond the margin, so that of arms within it at most `alpha` are stopped, however often one looks.
pub(super) fn judge(
    guardrail: &Guardrail,
    collected: &Collected,
    [control, arm]: [usize; 2],
    (alpha, sequential): (f64, &Sequential),
) -> GuardrailResult {
    let share_of_exposures = |measure| {
        let metric = Metric::Ratio(measure, Measure::Exposures);
        let estimate = |arm: usize| Estimate::new(&collected.arms[arm], metric);
        estimate(control).zip(estimate(arm))
    };
    let estimates = match guardrail.metric {
        GuardrailMetric::Late => share_of_exposures(Measure::Late),
        GuardrailMetric::Degraded => share_of_exposures(Measure::Degraded),
        GuardrailMetric::Errors => share_of_exposures(Measure::Errors),
        GuardrailMetric::VectorCoverage => share_of_exposures(Measure::VectorCoverage),
        GuardrailMetric::CatalogCoverage => collected.catalog.as_ref().and_then(|catalog| {
            let arms = [control, arm];
            let units = arms.map(|arm| collected.arms[arm].units());
            catalog.shown.compared(arms, units, catalog.items).map(Into::into)
        }),
    };
    let less_is_worse = [GuardrailMetric::VectorCoverage, GuardrailMetric::CatalogCoverage];
    let sign = if less_is_worse.contains(&guardrail.metric) { -1.0 } else { 1.0 };
    let mut result = GuardrailResult {
        arm: collected.schema.arms[arm].clone(),
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
