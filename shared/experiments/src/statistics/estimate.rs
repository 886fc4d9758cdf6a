//! A metric of an arm, with the variance of its estimate.

use super::{
    Moments,
    quantities::{COVARIATE, COVERAGE, DEGRADED, ERRORS, EXPOSURES, LATE, TASKS, VALUE},
};

/// A quantity that units add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Exposures.
    Exposures,
    /// Outcomes of the task at this place of the schema.
    Task(usize),
    /// Value.
    Value,
    /// Late exposures.
    Late,
    /// Degraded exposures.
    Degraded,
    /// Failed exposures.
    Errors,
    /// Share of the candidates whose vectors were there.
    VectorCoverage,
}

impl Measure {
    fn index(self) -> usize {
        match self {
            Self::Exposures => EXPOSURES,
            Self::Task(task) => TASKS + task,
            Self::Value => VALUE,
            Self::Late => LATE,
            Self::Degraded => DEGRADED,
            Self::Errors => ERRORS,
            Self::VectorCoverage => COVERAGE,
        }
    }
}

/// What is estimated of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Mean of a measure per unit.
    PerUnit(Measure),
    /// Sum of a measure over the sum of another, such as clicks per exposure.
    Ratio(Measure, Measure),
}

/// The ratio of the sums of two quantities, and its variance between units. The ratio `r` is
/// linearised: a unit counts as `(y - r x) / mean(x)`, whose variance is that of the delta method,
/// with the unit and not the exposure as what was drawn. Deng, Knoblich and Lu 2018, arXiv
/// 1803.06336, section 3. `None` for fewer than two units, or a ratio to nothing.
pub(crate) fn linearised(moments: &Moments, y: usize, x: usize) -> Option<(f64, f64)> {
    let scale = moments.mean(x);
    if moments.units() < 2 || scale <= 0.0 {
        return None;
    }
    let ratio = moments.mean(y) / scale;
    let variance = moments.covariance(y, y) - 2.0 * ratio * moments.covariance(x, y)
        + ratio * ratio * moments.covariance(x, x);
    Some((ratio, variance.max(0.0) / (scale * scale)))
}

/// A metric of one arm, and what its differences between arms need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Units.
    pub units: u64,
    /// The metric.
    pub value: f64,
    /// Variance of the metric between units; that of `value` is this over `units`.
    pub variance: f64,
    /// Covariance between units of the metric and the covariate.
    covariance: f64,
    covariate_mean: f64,
    covariate_variance: f64,
}

impl Estimate {
    /// The metric of these units. `None` where there are fewer than two units, or a ratio of nothing.
    #[must_use]
    pub fn new(moments: &Moments, metric: Metric) -> Option<Self> {
        if moments.units() < 2 {
            return None;
        }
        let (value, variance, covariance) = match metric {
            Metric::PerUnit(measure) => {
                let y = measure.index();
                let covariance = moments.covariance(y, COVARIATE);
                (moments.mean(y), moments.covariance(y, y), covariance)
            }
            Metric::Ratio(over, under) => {
                let (y, x) = (over.index(), under.index());
                let (ratio, variance) = linearised(moments, y, x)?;
                let covariance =
                    moments.covariance(y, COVARIATE) - ratio * moments.covariance(x, COVARIATE);
                (ratio, variance, covariance / moments.mean(x))
            }
        };
        Some(Self {
            units: moments.units(),
            value,
            variance,
            covariance,
            covariate_mean: moments.mean(COVARIATE),
            covariate_variance: moments.covariance(COVARIATE, COVARIATE),
        })
    }

    /// A value whose squared error is known, and of which no covariate says anything.
    pub(super) fn known(units: u64, value: f64, squared_error: f64) -> Self {
        Self {
            units,
            value,
            variance: squared_error * units as f64,
            covariance: 0.0,
            covariate_mean: 0.0,
            covariate_variance: 0.0,
        }
    }

    /// Variance of `value`.
    #[must_use]
    pub fn squared_error(&self) -> f64 {
        self.variance / self.units as f64
    }

    /// Both estimates less what the covariate explains of them, and by which share that lowers
    /// their variance. With `t` the pooled `cov(y, x) / var(x)`, `y - t (mean(x) - mean of all)`.
    /// Deng, Xu, Kohavi and Walker 2013, WSDM, eq. 3 and 4. `None` if no covariate varies.
    #[must_use]
    pub fn cuped(control: &Self, arm: &Self) -> Option<(Self, Self, f64)> {
        let pooled = |of: fn(&Self) -> f64| {
            [control, arm].iter().map(|one| (one.units - 1) as f64 * of(one)).sum::<f64>()
        };
        let spread = pooled(|one| one.covariate_variance);
        if spread <= 0.0 {
            return None;
        }
        let slope = pooled(|one| one.covariance) / spread;
        let units = (control.units + arm.units) as f64;
        let sum = |one: &Self| one.covariate_mean * one.units as f64;
        let middle = (sum(control) + sum(arm)) / units;
        let adjusted = |one: &Self| {
            let variance = one.variance - 2.0 * slope * one.covariance
                + slope * slope * one.covariate_variance;
            Self {
                value: one.value - slope * (one.covariate_mean - middle),
                variance: variance.max(0.0),
                ..*one
            }
        };
        let (before, (control, arm)) =
            (control.squared_error() + arm.squared_error(), (adjusted(control), adjusted(arm)));
        let after = control.squared_error() + arm.squared_error();
        Some((control, arm, if before > 0.0 { 1.0 - after / before } else { 0.0 }))
    }
}
