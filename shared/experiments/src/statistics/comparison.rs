//! An arm against the control, by one metric.

use serde::{Deserialize, Serialize};

use super::{Estimate, Sequential, welch};

/// From, to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    fn around(middle: f64, error: f64, quantile: f64) -> Self {
        Self { low: middle - quantile * error, high: middle + quantile * error }
    }

    /// Whether the value is inside.
    #[must_use]
    pub fn covers(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// An arm against the control.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The metric of the control.
    pub control: f64,
    /// The metric of the arm.
    pub arm: f64,
    /// Units of both.
    pub units: u64,
    /// Arm less control.
    pub difference: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// The difference at one look.
    pub interval: Interval,
    /// The difference at every look.
    pub always_valid_interval: Interval,
    /// Arm over control, less 1. None where the control's metric is not above 0, as its intervals.
    pub lift: Option<f64>,
    /// The lift at one look.
    pub lift_interval: Option<Interval>,
    /// The lift at every look.
    pub always_valid_lift_interval: Option<Interval>,
    /// Chance of such a difference at one look, if there is none.
    pub p: f64,
    /// Chance of such a difference at any look, if there is none.
    pub always_valid_p: f64,
}

impl Comparison {
    /// Compares. `None` if neither arm varies.
    ///
    /// The error of a lift is that of the delta method, with `c` and `t` the metrics:
    /// `var(t) / c^2 + t^2 var(c) / c^4`. Deng, Knoblich and Lu 2018, arXiv 1803.06336, section 2.
    #[must_use]
    pub fn new(
        control: &Estimate,
        arm: &Estimate,
        alpha: f64,
        sequential: &Sequential,
    ) -> Option<Self> {
        let test = welch(control, arm, alpha)?;
        let units = control.units + arm.units;
        let difference = arm.value - control.value;
        let error = (control.squared_error() + arm.squared_error()).sqrt();
        let wide = sequential.quantile(units);
        let lift = (control.value > 0.0).then(|| {
            let base = control.value;
            let ratio = arm.value / base;
            let squared =
                (arm.squared_error() + ratio * ratio * control.squared_error()) / (base * base);
            (ratio - 1.0, squared.sqrt())
        });
        let around = |quantile| lift.map(|(lift, error)| Interval::around(lift, error, quantile));
        Some(Self {
            control: control.value,
            arm: arm.value,
            units,
            difference,
            standard_error: error,
            interval: Interval::around(difference, error, test.quantile),
            always_valid_interval: Interval::around(difference, error, wide),
            lift: lift.map(|(lift, _)| lift),
            lift_interval: around(test.quantile),
            always_valid_lift_interval: around(wide),
            p: test.p,
            always_valid_p: sequential.p(difference / error, units),
        })
    }
}
