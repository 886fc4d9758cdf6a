//! Weighted choice among the first so many of a growing list.

/// Running sums of weights. What comes later in the list may be left out of a choice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weights {
    sums: Vec<f64>,
}

impl Weights {
    /// Appends a weight, which is above 0.
    pub(crate) fn push(&mut self, weight: f64) {
        let before = self.sums.last().copied().unwrap_or(0.0);
        self.sums.push(before + weight);
    }

    /// An index below `first`, by weight; `at` is in 0..1. `None` when `first` is 0.
    pub(crate) fn choose(&self, first: usize, at: f64) -> Option<usize> {
        let sums = self.sums.get(..first)?;
        let goal = at * sums.last()?;
        Some(sums.partition_point(|&sum| sum <= goal).min(first - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::Weights;

    #[test]
    fn chooses_by_weight_and_only_among_the_first() {
        let mut weights = Weights::default();
        [1.0, 3.0, 4.0].into_iter().for_each(|weight| weights.push(weight));
        let chosen = |first, at| weights.choose(first, at);
        assert_eq!(
            [chosen(2, 0.0), chosen(2, 0.24), chosen(2, 0.26), chosen(2, 0.999)],
            [Some(0), Some(0), Some(1), Some(1)]
        );
        assert_eq!(
            [chosen(3, 0.49), chosen(3, 0.51), chosen(0, 0.5), chosen(4, 0.5)],
            [Some(1), Some(2), None, None]
        );
    }
}
