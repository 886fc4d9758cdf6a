//! Inference that stays valid however often one looks, and whenever one stops.

/// Always-valid inference on a difference whose estimate is about normal.
///
/// The difference after `n` units is compared with a normal mixture of differences (the mSPRT):
/// with `v` the squared standard error and `g = n rho^2`,
///
/// `L = exp(g d^2 / (2 v (1 + g))) / sqrt(1 + g)`, `p = min(1, 1 / L)`.
///
/// Robbins 1970; Johari, Pekelis and Walsh, "Always Valid Inference", arXiv 1512.04922, section 5,
/// the mixture likelihood ratio of normal data, with `tau^2 = g v` and the variance estimated. The
/// differences that it does not reject are the asymptotic confidence sequence of Waudby-Smith,
/// Arbour, Sinha, Kennedy and Ramdas, arXiv 2103.06476, theorem 2.2:
///
/// `d +- sqrt(v (1 + g) / g * (ln(1 + g) + 2 ln(1 / alpha)))`.
///
/// Both keep to at most `alpha` false alarms over all looks together, in the limit of many units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sequential {
    alpha: f64,
    rho_squared: f64,
}

impl Sequential {
    /// With the interval tightest at about `planned_units`, which are fixed beforehand:
    /// `rho^2 = (2 ln(1 / alpha) + ln(2 ln(1 / alpha) + 1)) / n`. arXiv 2103.06476, appendix B.2.
    #[must_use]
    pub fn new(alpha: f64, planned_units: u64) -> Self {
        let doubled = -2.0 * alpha.ln();
        let rho_squared = (doubled + doubled.ln_1p()) / planned_units.max(1) as f64;
        Self { alpha, rho_squared }
    }

    /// Standard errors to each side of the estimate of `units` units that the interval reaches.
    #[must_use]
    pub fn quantile(&self, units: u64) -> f64 {
        let g = self.rho_squared * units.max(1) as f64;
        ((1.0 + g) / g * (g.ln_1p() - 2.0 * self.alpha.ln())).sqrt()
    }

    /// The p-value of a difference of `z` standard errors after `units` units.
    #[must_use]
    pub fn p(&self, z: f64, units: u64) -> f64 {
        let g = self.rho_squared * units.max(1) as f64;
        (0.5 * g.ln_1p() - g * z * z / (2.0 * (1.0 + g))).exp().min(1.0)
    }
}
