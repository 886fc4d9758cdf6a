//! Whether the arms have the units they should have.

use serde::{Deserialize, Serialize};
use statrs::{
    distribution::{ChiSquared, ContinuousCDF},
    function::gamma::ln_gamma,
};

/// Below this p-value the split is taken as broken, and no lift is shown.
pub const SAMPLE_RATIO_ALPHA: f64 = 0.001;

/// Weight of the prior of the always-valid check, in units: it looks for deviations of about one
/// over the square root of this.
const PRIOR_UNITS: f64 = 10_000.0;

/// The sample-ratio check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRatio {
    /// Units of each arm.
    pub units: Vec<u64>,
    /// Units each arm should have.
    pub expected: Vec<f64>,
    /// Chance, with the split that was asked for, of counts at least as far from it.
    pub p: f64,
    /// The same, valid at every look of many.
    pub always_valid_p: f64,
}

/// Checks units against the shares of the split, which sum to a positive number.
///
/// At one look: Pearson's chi-square. At many: the Bayes factor of a Dirichlet mixture, of mean
/// the split, against the split; Lindon and Malek, "Anytime-valid inference for multinomial count
/// data", arXiv 2011.03567, section 2:
/// `p = min(1, prod s_i^n_i * B(a) / B(a + n))`, with `a = 10,000 s` here and `B` the beta function
/// of several variables.
///
/// `None` with fewer than two arms that have a share.
#[must_use]
pub fn sample_ratio(units: &[u64], shares: &[f64]) -> Option<SampleRatio> {
    let all: u64 = units.iter().sum();
    let whole: f64 = shares.iter().sum();
    let arms = shares.iter().filter(|share| **share > 0.0).count();
    let freedom = ChiSquared::new(arms.checked_sub(1)? as f64).ok()?;
    let expected: Vec<f64> = shares.iter().map(|share| share / whole * all as f64).collect();
    // A unit in an arm that should have none settles it.
    let stray = units.iter().zip(shares).any(|(units, share)| *units > 0 && *share <= 0.0);
    let (mut statistic, mut log_p) = (0.0, ln_gamma(PRIOR_UNITS + all as f64));
    log_p -= ln_gamma(PRIOR_UNITS);
    for ((units, share), expected) in units.iter().zip(shares).zip(&expected) {
        if *share <= 0.0 || all == 0 {
            continue;
        }
        let (units, share) = (*units as f64, share / whole);
        statistic += (units - expected).powi(2) / expected;
        let prior = PRIOR_UNITS * share;
        log_p += units * share.ln() + ln_gamma(prior) - ln_gamma(prior + units);
    }
    let (p, always_valid_p) = match (all, stray) {
        (0, _) => (1.0, 1.0),
        (_, true) => (0.0, 0.0),
        _ => (freedom.sf(statistic), log_p.exp().min(1.0)),
    };
    Some(SampleRatio { units: units.to_vec(), expected, p, always_valid_p })
}
