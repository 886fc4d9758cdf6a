//! From logits to probabilities.

use serde::{Deserialize, Serialize};

/// How a logit becomes a calibrated click probability.
///
/// ```
/// use plugrank_bundle::Calibration;
///
/// assert_eq!(Calibration::None.apply(0.0), 0.5);
/// let curve = Calibration::Isotonic { x: vec![-1.0, 1.0], y: vec![0.1, 0.3] };
/// assert_eq!(curve.apply(0.0), 0.2);
/// assert_eq!(curve.apply(9.0), 0.3, "constant beyond the ends");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum Calibration {
    /// `sigmoid(logit)`: what a graph without an entry has; the manifest has no word for it.
    #[default]
    #[serde(skip)]
    None,
    /// `sigmoid(a * logit + b)`. Platt 1999.
    Platt {
        /// Slope.
        a: f64,
        /// Intercept.
        b: f64,
    },
    /// Linear interpolation of `y` over `x`, constant beyond the ends. Zadrozny and Elkan 2002.
    Isotonic {
        /// Logits, ascending.
        x: Vec<f64>,
        /// Probabilities, not falling.
        y: Vec<f64>,
    },
}

impl Calibration {
    /// The calibrated probability of a logit; NaN stays NaN.
    #[must_use]
    pub fn apply(&self, logit: f32) -> f32 {
        let logit = f64::from(logit);
        let probability = match self {
            Self::None => sigmoid(logit),
            Self::Platt { a, b } => sigmoid(a * logit + b),
            Self::Isotonic { x, y } => interpolate(x, y, logit),
        };
        probability as f32
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::None => Ok(()),
            Self::Platt { a, b } if a.is_finite() && b.is_finite() && *a > 0.0 => Ok(()),
            Self::Platt { .. } => Err("`a` must be above 0 and `b` a number".into()),
            Self::Isotonic { x, y } if x.len() != y.len() || x.is_empty() => {
                Err("`x` and `y` must have the same length, at least 1".into())
            }
            Self::Isotonic { x, .. } if !x.is_sorted_by(|a, b| a < b) => {
                Err("`x` must be strictly ascending".into())
            }
            Self::Isotonic { y, .. } if !y.is_sorted() => Err("`y` must not fall".into()),
            Self::Isotonic { y, .. } if y.iter().any(|y| !(0.0..=1.0).contains(y)) => {
                Err("`y` must be within 0 and 1".into())
            }
            Self::Isotonic { .. } => Ok(()),
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    if at.is_nan() {
        return at;
    }
    let right = x.partition_point(|x| *x < at);
    match (right.checked_sub(1), x.get(right)) {
        (None, _) => y[0],
        (Some(left), None) => y[left],
        (Some(left), Some(_)) => {
            let share = (at - x[left]) / (x[right] - x[left]);
            y[left] + share * (y[right] - y[left])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Calibration;

    #[test]
    fn platt_scaling_is_a_shifted_sigmoid() {
        let platt = Calibration::Platt { a: 2.0, b: -1.0 };
        assert!((platt.apply(0.5) - 0.5).abs() < 1e-7);
        assert!(platt.apply(1e9) <= 1.0 && platt.apply(-1e9) >= 0.0);
        assert!(platt.apply(f32::NAN).is_nan());
    }

    #[test]
    fn isotonic_calibration_interpolates_and_is_constant_outside() {
        let isotonic = Calibration::Isotonic { x: vec![-1.0, 0.0, 2.0], y: vec![0.1, 0.3, 0.7] };
        let near = |logit: f32, expected: f32| {
            assert!((isotonic.apply(logit) - expected).abs() < 1e-6, "{logit}");
        };
        near(-5.0, 0.1);
        near(-1.0, 0.1);
        near(-0.5, 0.2);
        near(0.0, 0.3);
        near(1.0, 0.5);
        near(9.0, 0.7);
        assert!(isotonic.apply(f32::NAN).is_nan());
    }

    #[test]
    fn invalid_calibrations_are_refused() {
        let isotonic = |x: &[f64], y: &[f64]| Calibration::Isotonic { x: x.into(), y: y.into() };
        assert!(isotonic(&[0.0, 0.0], &[0.1, 0.2]).check().is_err());
        assert!(isotonic(&[0.0, 1.0], &[0.3, 0.2]).check().is_err());
        assert!(isotonic(&[0.0], &[0.1, 0.2]).check().is_err());
        assert!(isotonic(&[], &[]).check().is_err());
        assert!(isotonic(&[0.0, 1.0], &[0.1, 1.2]).check().is_err());
        assert!(Calibration::Platt { a: -1.0, b: 0.0 }.check().is_err());
        assert!(isotonic(&[0.0, 1.0], &[0.1, 0.2]).check().is_ok());
    }
}
