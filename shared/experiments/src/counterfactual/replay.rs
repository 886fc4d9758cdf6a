//! Inverse-propensity, self-normalised and doubly robust estimates.

use std::collections::HashMap;

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};
use thiserror::Error;

use crate::statistics::{Interval, Moments, linearised};

/// Sums of a unit: its decisions, weights, weighted rewards, doubly robust terms, rewards.
const DECISIONS: usize = 0;
const WEIGHT: usize = 1;
const WEIGHTED: usize = 2;
const ROBUST: usize = 3;
const REWARD: usize = 4;
const SIZE: usize = 5;

/// The log must be worth at least this many decisions of the other policy's own.
const EFFECTIVE_MIN: f64 = 100.0;
/// And at least this share of its decisions.
const EFFECTIVE_SHARE_MIN: f64 = 0.01;
/// No decision may have more than this share of all weights.
const LARGEST_MAX: f64 = 0.05;
/// The mean weight is 1 where every choice of the other policy had a chance to be in the log; it
/// may be this far from it.
const SUPPORT_MARGIN: f64 = 0.1;

/// One logged choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoggedDecision {
    /// The outcome.
    pub reward: f64,
    /// Chance of the choice under the policy that made it, above 0.
    pub propensity: f64,
    /// Chance of the same choice under the other policy.
    pub target: f64,
    /// What a model expects of the choice. 0 everywhere makes the doubly robust estimate the
    /// inverse-propensity one.
    pub expected: f64,
    /// What the model expects of the other policy here: over all choices, chance times expectation.
    pub expected_target: f64,
}

/// A decision that cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum DecisionError {
    /// No propensity.
    #[error("the propensity {0} is not above 0 and at most 1")]
    Propensity(f64),
    /// No chance.
    #[error("the other policy's chance {0} is not 0 to 1")]
    Target(f64),
    /// No number.
    #[error("a reward or an expectation is not a finite number")]
    Value,
}

/// Adds decisions up by unit: those of one user are not independent.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    units: HashMap<String, [f64; SIZE]>,
    squared_weights: f64,
    largest: f64,
}

/// Estimates of the other policy's value per decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayResults {
    /// Decisions.
    pub decisions: f64,
    /// Units.
    pub units: u64,
    /// How many decisions of the other policy's own the log is worth: `(sum w)^2 / sum w^2`.
    pub effective: f64,
    /// Mean weight; below 1 where the other policy chooses what never was in the log.
    pub support: f64,
    /// Value of the policy that made the log.
    pub logged: OffPolicy,
    /// Inverse propensity: mean of `w r`, `w` the ratio of the chances. Horvitz and Thompson 1952.
    pub inverse_propensity: OffPolicy,
    /// Self-normalised: `sum w r / sum w`. Swaminathan and Joachims, NeurIPS 2015, eq. 9.
    pub self_normalised: OffPolicy,
    /// Doubly robust: mean of `q(target) + w (r - q)`, `q` the model's expectation. Dudik, Langford
    /// and Li, arXiv 1103.4601, eq. 1.
    pub doubly_robust: OffPolicy,
}

/// An estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OffPolicy {
    /// The value.
    pub value: f64,
    /// Its standard error, with units drawn independently.
    pub standard_error: f64,
    /// The interval of the level asked for.
    pub interval: Interval,
}

/// The log says too little of the other policy.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error(
    "the log is worth {effective:.0} of {decisions:.0} decisions of the other policy, its mean \
     weight is {support:.2} (1 with full support) and the largest has {largest:.1}% of all: too \
     thin to say what it is worth; log with more exploration, or test it on users"
)]
pub struct ThinOverlap {
    /// Decisions.
    pub decisions: f64,
    /// Decisions they are worth.
    pub effective: f64,
    /// Mean weight.
    pub support: f64,
    /// The largest weight, in percent of all.
    pub largest: f64,
}

impl Replay {
    /// Adds a decision of `unit`.
    ///
    /// # Errors
    /// A decision that says nothing; it is not added.
    pub fn add(&mut self, unit: &str, decision: &LoggedDecision) -> Result<(), DecisionError> {
        let LoggedDecision { reward, propensity, target, expected, expected_target } = *decision;
        if !(propensity > 0.0 && propensity <= 1.0) {
            return Err(DecisionError::Propensity(propensity));
        }
        if !(0.0..=1.0).contains(&target) {
            return Err(DecisionError::Target(target));
        }
        if ![reward, expected, expected_target].iter().all(|value| value.is_finite()) {
            return Err(DecisionError::Value);
        }
        let weight = target / propensity;
        self.squared_weights += weight * weight;
        self.largest = self.largest.max(weight);
        let robust = expected_target + weight * (reward - expected);
        let terms = [1.0, weight, weight * reward, robust, reward];
        let sums = match self.units.get_mut(unit) {
            Some(sums) => sums,
            None => self.units.entry(unit.to_owned()).or_default(),
        };
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += term;
        }
        Ok(())
    }

    /// The estimates, with intervals of level `1 - alpha`.
    ///
    /// # Errors
    /// A log that says too little of the other policy.
    pub fn results(&self, alpha: f64) -> Result<ReplayResults, ThinOverlap> {
        let mut moments = Moments::new(SIZE);
        self.units.values().for_each(|unit| moments.add(unit));
        let (decisions, weights) = (moments.sum(DECISIONS), moments.sum(WEIGHT));
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        let thin = ThinOverlap {
            decisions,
            effective: share(weights * weights, self.squared_weights),
            support: share(weights, decisions),
            largest: 100.0 * share(self.largest, weights),
        };
        let unsupported = {
            let spread = linearised(&moments, WEIGHT, DECISIONS)
                .map_or(0.0, |(_, variance)| (variance / moments.units() as f64).sqrt());
            // A mean weight that is far from 1, and not by chance.
            (thin.support - 1.0).abs() > SUPPORT_MARGIN.max(3.0 * spread)
        };
        if thin.effective < EFFECTIVE_MIN
            || thin.effective < EFFECTIVE_SHARE_MIN * decisions
            || thin.largest > 100.0 * LARGEST_MAX
            || unsupported
        {
            return Err(thin);
        }
        let quantile = Normal::standard().inverse_cdf(1.0 - alpha / 2.0);
        let estimate = |over: usize, under: usize| {
            let (value, variance) = linearised(&moments, over, under)?;
            let error = (variance / moments.units() as f64).sqrt();
            let interval =
                Interval { low: value - quantile * error, high: value + quantile * error };
            Some(OffPolicy { value, standard_error: error, interval })
        };
        let results = || {
            Some(ReplayResults {
                decisions,
                units: moments.units(),
                effective: thin.effective,
                support: thin.support,
                logged: estimate(REWARD, DECISIONS)?,
                inverse_propensity: estimate(WEIGHTED, DECISIONS)?,
                self_normalised: estimate(WEIGHTED, WEIGHT)?,
                doubly_robust: estimate(ROBUST, DECISIONS)?,
            })
        };
        results().ok_or(thin)
    }
}
