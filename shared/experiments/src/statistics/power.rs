//! What could be found by now, and what it still takes.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::{Comparison, Sequential};
use crate::AnalysisPlan;

/// More units than this are never waited for.
const UNITS_MAX: f64 = 1e12;

/// Power of a comparison for the lift that was planned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// Chance of finding the planned lift with the units there are, at one look.
    pub now: f64,
    /// Smallest lift that is found with the planned power, at one look.
    pub detectable_lift: f64,
    /// Units of both arms that one look needs to find the planned lift with the planned power.
    pub units: u64,
    /// The same with every look allowed.
    pub always_valid_units: u64,
    /// Days until there are as many, at the pace so far, where it is known.
    pub days: Option<f64>,
    /// Days until there are as many as every look needs.
    pub always_valid_days: Option<f64>,
}

/// Power of a comparison, if its units keep coming as they did in `days` days. Normal
/// approximation of two independent means; `None` where there is no lift to speak of.
#[must_use]
pub fn power(comparison: &Comparison, plan: &AnalysisPlan, days: Option<f64>) -> Option<Power> {
    if comparison.control <= 0.0 {
        return None;
    }
    let normal = Normal::standard();
    let wanted = plan.lift * comparison.control;
    let error = comparison.standard_error;
    let (accept, find) =
        (normal.inverse_cdf(1.0 - plan.alpha / 2.0), normal.inverse_cdf(plan.power));
    let shift = wanted / error;
    let units = comparison.units as f64;
    // Variance of the difference times units: what does not change as units come.
    let spread = error * error * units;
    let needed = spread * ((accept + find) / wanted).powi(2);
    let sequential = Sequential::new(plan.alpha, plan.units);
    let enough =
        |units: f64| (sequential.quantile(units as u64) + find) * (spread / units).sqrt() <= wanted;
    let always = first(needed.max(1.0), enough);
    let until = |needed: f64| {
        let days = days.filter(|days| *days > 0.0)?;
        Some(((needed - units) * days / units).max(0.0))
    };
    Some(Power {
        now: normal.cdf(shift - accept) + normal.cdf(-shift - accept),
        detectable_lift: (accept + find) * error / comparison.control,
        units: needed.ceil() as u64,
        always_valid_units: always.ceil() as u64,
        days: until(needed),
        always_valid_days: until(always),
    })
}

/// The smallest number from `from` on for which `enough` holds, which it does for all above it.
fn first(from: f64, enough: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (from, from);
    while !enough(high) && high < UNITS_MAX {
        low = high;
        high *= 2.0;
    }
    while high - low > 1.0 {
        let middle = f64::midpoint(low, high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
