//! How a budget is split.

use std::time::Duration;

use crate::Stage;

/// Share of the budget each stage may take, in the order the stages run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares([f64; Stage::ALL.len()]);

/// A split that no budget can be divided by.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SharesError {
    /// A share is not a positive number.
    #[error("share of `{stage}` is {share}; it must be above 0 and at most 1")]
    OutOfRange {
        /// Which stage.
        stage: Stage,
        /// What it was given.
        share: f64,
    },
    /// The shares together exceed the whole.
    #[error("the shares add up to {sum}; together they may be at most 1")]
    TooMuch {
        /// Their sum.
        sum: f64,
    },
}

impl Shares {
    /// A split of the budget. The shares may add up to less than 1: the rest is the reserve for
    /// what surrounds the stages (parsing, writing the reply).
    ///
    /// # Errors
    /// When a share is not in (0, 1] or they add up to more than 1.
    pub fn new(retrieval: f64, scoring: f64, reranking: f64) -> Result<Self, SharesError> {
        let shares = [retrieval, scoring, reranking];
        for (stage, share) in Stage::ALL.into_iter().zip(shares) {
            if !(share > 0.0 && share <= 1.0) {
                return Err(SharesError::OutOfRange { stage, share });
            }
        }
        let sum: f64 = shares.iter().sum();
        if sum > 1.0 + 1e-9 {
            return Err(SharesError::TooMuch { sum });
        }
        Ok(Self(shares))
    }

    /// What `stage` may take of `total`, without what others lend it.
    #[must_use]
    pub fn of(&self, stage: Stage, total: Duration) -> Duration {
        total.mul_f64(self.0[stage as usize])
    }

    /// The part of `total` after which `stage` must have ended.
    #[must_use]
    pub fn end_of(&self, stage: Stage, total: Duration) -> Duration {
        let cumulative: f64 = self.0[..=stage as usize].iter().sum();
        total.mul_f64(cumulative.min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_splits_are_refused() {
        assert!(matches!(
            Shares::new(0.2, 0.0, 0.1),
            Err(SharesError::OutOfRange { stage: Stage::Scoring, .. })
        ));
        assert!(matches!(
            Shares::new(0.2, f64::NAN, 0.1),
            Err(SharesError::OutOfRange { stage: Stage::Scoring, .. })
        ));
        assert!(matches!(Shares::new(0.5, 0.5, 0.5), Err(SharesError::TooMuch { .. })));
        assert!(Shares::new(0.2, 0.7, 0.1).is_ok());
    }
}
