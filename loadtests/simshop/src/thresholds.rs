//! AUC over any number of rows in a fixed amount of memory.

/// Steps into which 0..=1 is cut.
const STEPS: usize = 1 << 20;

/// Counts of clicks and non-clicks by probability, in steps of 2^-20.
pub(crate) struct Thresholds {
    clicks: Vec<u64>,
    others: Vec<u64>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { clicks: vec![0; STEPS + 1], others: vec![0; STEPS + 1] }
    }
}

impl Thresholds {
    /// Counts a row; the probability is in 0..=1.
    pub(crate) fn count(&mut self, probability: f32, clicked: bool) {
        let step = ((f64::from(probability) * STEPS as f64) as usize).min(STEPS);
        if clicked { self.clicks[step] += 1 } else { self.others[step] += 1 }
    }

    /// Probability that a click has a higher probability than a non-click, ties counting half
    /// (Mann-Whitney); `None` without both.
    pub(crate) fn auc(&self) -> Option<f64> {
        let clicks: u64 = self.clicks.iter().sum();
        let others: u64 = self.others.iter().sum();
        if clicks == 0 || others == 0 {
            return None;
        }
        let (mut below, mut wins) = (0.0, 0.0);
        for (&clicks, &others) in self.clicks.iter().zip(&self.others) {
            wins += clicks as f64 * (below + 0.5 * others as f64);
            below += others as f64;
        }
        Some(wins / (clicks as f64 * others as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::Thresholds;

    #[test]
    fn auc_counts_pairs_with_ties_as_half() {
        let mut thresholds = Thresholds::default();
        assert_eq!(thresholds.auc(), None);
        for (probability, clicked) in [(0.1, false), (0.4, true), (0.4, false), (1.0, true)] {
            thresholds.count(probability, clicked);
        }
        assert_eq!(thresholds.auc(), Some(3.5 / 4.0));
    }
}
