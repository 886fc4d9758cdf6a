//! Inference at one moment that was fixed beforehand.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::Estimate;

/// A test of "no difference" at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedTest {
    /// Degrees of freedom.
    pub freedom: f64,
    /// Chance, without a difference, of one at least as large.
    pub p: f64,
    /// Standard errors to each side of an estimate that make an interval of level `1 - alpha`.
    pub quantile: f64,
}

/// Welch's test of two arms. Welch 1947, Biometrika 34, with Satterthwaite's degrees of freedom.
/// `None` if neither varies.
#[must_use]
pub fn welch(control: &Estimate, arm: &Estimate, alpha: f64) -> Option<FixedTest> {
    let (one, other) = (control.squared_error(), arm.squared_error());
    let error = one + other;
    if error <= 0.0 {
        return None;
    }
    let part = |squared: f64, units: u64| squared * squared / (units - 1) as f64;
    let freedom = error * error / (part(one, control.units) + part(other, arm.units));
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    let statistic = (arm.value - control.value).abs() / error.sqrt();
    Some(FixedTest {
        freedom,
        p: (2.0 * student.sf(statistic)).min(1.0),
        quantile: student.inverse_cdf(1.0 - alpha / 2.0),
    })
}
