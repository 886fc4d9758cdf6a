//! Means and covariances of several quantities, merged without loss.

use serde::{Deserialize, Serialize};

/// Number, means and sums of products of deviations of a vector per unit. Units of different
/// moments are different ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    units: u64,
    means: Vec<f64>,
    /// `[size, size]`, row by row, of which the part with row <= column is used.
    products: Vec<f64>,
}

impl Moments {
    /// Of no unit yet.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { units: 0, means: vec![0.0; size], products: vec![0.0; size * size] }
    }

    /// Number of units.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }

    /// Mean over units of quantity `index`.
    #[must_use]
    pub fn mean(&self, index: usize) -> f64 {
        self.means[index]
    }

    /// Sum over units of quantity `index`.
    #[must_use]
    pub fn sum(&self, index: usize) -> f64 {
        self.means[index] * self.units as f64
    }

    /// Sample covariance of two quantities; 0 below two units.
    #[must_use]
    pub fn covariance(&self, one: usize, other: usize) -> f64 {
        if self.units < 2 {
            return 0.0;
        }
        let (row, column) = (one.min(other), one.max(other));
        self.products[row * self.means.len() + column] / (self.units - 1) as f64
    }

    /// Adds a unit. Welford's update, for several quantities.
    ///
    /// # Panics
    /// If `unit` has another number of quantities.
    pub fn add(&mut self, unit: &[f64]) {
        let size = self.means.len();
        assert_eq!(unit.len(), size, "a unit has as many quantities as its moments");
        self.units += 1;
        let count = self.units as f64;
        let weight = (count - 1.0) / count;
        let means = &mut self.means;
        for (row, products) in self.products.chunks_exact_mut(size).enumerate() {
            let scaled = (unit[row] - means[row]) * weight;
            for column in row..size {
                products[column] += scaled * (unit[column] - means[column]);
            }
        }
        for (mean, value) in means.iter_mut().zip(unit) {
            *mean += (value - *mean) / count;
        }
    }

    /// Adds other units. Chan, Golub and LeVeque 1979, eq. 2.1, for several quantities.
    ///
    /// # Panics
    /// If the other moments have another number of quantities.
    pub fn merge(&mut self, other: &Self) {
        let size = self.means.len();
        assert_eq!(other.means.len(), size, "moments that merge have as many quantities");
        if other.units == 0 {
            return;
        }
        let (mine, theirs) = (self.units as f64, other.units as f64);
        let all = mine + theirs;
        let apart: Vec<f64> = other.means.iter().zip(&self.means).map(|(b, a)| b - a).collect();
        for row in 0..size {
            for column in row..size {
                let between = apart[row] * apart[column] * (mine * theirs / all);
                self.products[row * size + column] += other.products[row * size + column] + between;
            }
        }
        for (mean, apart) in self.means.iter_mut().zip(&apart) {
            *mean += apart * (theirs / all);
        }
        self.units += other.units;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: [[f64; 2]; 5] = [[1.0, 2.0], [2.0, 1.0], [4.0, 5.0], [8.0, 7.0], [16.0, 3.0]];

    fn moments(units: &[[f64; 2]]) -> Moments {
        let mut moments = Moments::new(2);
        units.iter().for_each(|unit| moments.add(unit));
        moments
    }

    fn close(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-12, "{one} {other}");
    }

    /// `numpy.cov([1, 2, 4, 8, 16], [2, 1, 5, 7, 3])`.
    #[test]
    fn means_and_covariances_equal_numpy() {
        let moments = moments(&UNITS);
        close(moments.mean(0), 6.2);
        close(moments.mean(1), 3.6);
        close(moments.covariance(0, 0), 37.2);
        close(moments.covariance(0, 1), 4.1);
        close(moments.covariance(1, 0), 4.1);
        close(moments.covariance(1, 1), 5.8);
    }

    #[test]
    fn merged_moments_equal_those_of_all_units() {
        for cut in 0..=UNITS.len() {
            let (mut merged, other) = (moments(&UNITS[..cut]), moments(&UNITS[cut..]));
            merged.merge(&other);
            let all = moments(&UNITS);
            assert_eq!(merged.units(), all.units());
            for (row, column) in [(0, 0), (0, 1), (1, 1)] {
                close(merged.covariance(row, column), all.covariance(row, column));
            }
            close(merged.mean(0), all.mean(0));
        }
    }
}
