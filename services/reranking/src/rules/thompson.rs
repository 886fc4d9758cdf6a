//! Thompson sampling with known probabilities.
//!
//! W. R. Thompson, Biometrika 1933: each arm is taken with the probability that it is the best one, given
//! what was seen of it. Here an arm's click probability has a Beta distribution. The probability that arm
//! i is the best is the integral of `f_i(x) Π_{j≠i} F_j(x)`. It is worked out on a grid and the arm is
//! drawn by what comes out, so that the probability that is reported is the one that was drawn by, however
//! coarse the grid is.

/// Points of the grid. The error of a probability is below a hundredth, which the tests show.
const POINTS: usize = 256;

/// How many impressions the model's prediction counts for.
const PRIOR_WEIGHT: f64 = 20.0;

/// An item that may be drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arm {
    /// The click probability that the model predicts.
    pub(super) prior: f32,
    /// How often it was shown.
    pub(super) shown: u64,
    /// How often it was clicked.
    pub(super) clicked: u64,
}

impl Arm {
    /// Parameters of its Beta distribution.
    pub(super) fn beta(&self) -> (f64, f64) {
        let prior = if self.prior.is_nan() { 0.0 } else { f64::from(self.prior) };
        let prior = prior.clamp(1e-4, 1.0 - 1e-4);
        let (shown, clicked) = (self.shown.max(self.clicked) as f64, self.clicked as f64);
        (PRIOR_WEIGHT * prior + clicked, PRIOR_WEIGHT * (1.0 - prior) + shown - clicked)
    }
}

/// The probability of each arm to be the best. They add up to 1.
pub(super) fn chances(arms: impl ExactSizeIterator<Item = Arm>) -> Vec<f64> {
    let count = arms.len();
    let points = points();
    // Row by row: the probability mass of each arm in the cells, and up to the middle of each cell.
    let mut mass: Vec<f64> = Vec::with_capacity(count * POINTS);
    for arm in arms {
        let (a, b) = arm.beta();
        let start = mass.len();
        let density = |x: f64| (a - 1.0) * x.ln() + (b - 1.0) * (1.0 - x).ln();
        mass.extend(points.iter().map(|(x, width)| density(*x) + width.ln()));
        let row = &mut mass[start..];
        let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|log| *log = (*log - greatest).exp());
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|mass| *mass /= sum);
    }
    // Logarithms of the product over all arms of what lies below each cell's middle.
    let mut below = mass.clone();
    let mut all = vec![0.0f64; POINTS];
    for row in below.chunks_exact_mut(POINTS) {
        let mut sum = 0.0;
        for (below, all) in row.iter_mut().zip(&mut all) {
            let mass = *below;
            *below = (sum + mass / 2.0).max(f64::MIN_POSITIVE);
            sum += mass;
            *all += below.ln();
        }
    }
    let rows = mass.chunks_exact(POINTS).zip(below.chunks_exact(POINTS));
    let mut chances: Vec<f64> = rows
        .map(|(mass, below)| {
            let cells = mass.iter().zip(below).zip(&all);
            cells.map(|((mass, below), all)| mass * (all - below.ln()).exp()).sum()
        })
        .collect();
    let sum: f64 = chances.iter().sum();
    match sum > 0.0 {
        true => chances.iter_mut().for_each(|chance| *chance /= sum),
        false => chances.fill(1.0 / count.max(1) as f64),
    }
    chances
}

/// Middles and widths of the cells, close together near 0, where click probabilities lie: evenly spaced
/// in the square root.
fn points() -> Vec<(f64, f64)> {
    let edge = |n: usize| (n as f64 / POINTS as f64).powi(2);
    (0..POINTS).map(|n| ((edge(n) + edge(n + 1)) / 2.0, edge(n + 1) - edge(n))).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{Arm, chances};

    /// A Gamma variate of a shape above 0 by Marsaglia and Tsang, ACM TOMS 2000.
    fn gamma(rng: &mut ChaCha8Rng, shape: f64) -> f64 {
        if shape < 1.0 {
            let u: f64 = rng.random();
            return gamma(rng, shape + 1.0) * u.powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let (u, v): (f64, f64) = (rng.random(), rng.random());
            let normal = (-2.0 * u.max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let v = (1.0 + c * normal).powi(3);
            let u: f64 = rng.random();
            let accepted =
                u.max(1e-300).ln() < 0.5 * normal * normal + d - d * v + d * v.max(1e-300).ln();
            if v > 0.0 && accepted {
                return d * v;
            }
        }
    }

    fn simulated(arms: &[Arm], draws: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut wins = vec![0usize; arms.len()];
        for _ in 0..draws {
            let values = arms.iter().map(|arm| {
                let (a, b) = arm.beta();
                let (x, y) = (gamma(&mut rng, a), gamma(&mut rng, b));
                x / (x + y)
            });
            let best = values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
            wins[best] += 1;
        }
        wins.iter().map(|wins| *wins as f64 / draws as f64).collect()
    }

    #[test]
    fn chances_are_those_of_sampling() {
        let arm = |prior, shown, clicked| Arm { prior, shown, clicked };
        let cases = [
            vec![arm(0.1, 0, 0), arm(0.1, 0, 0)],
            vec![arm(0.02, 0, 0), arm(0.03, 5, 1), arm(0.05, 40, 0), arm(0.2, 3, 0)],
            vec![arm(0.001, 0, 0), arm(0.9, 100, 95), arm(0.5, 10, 5)],
            (0..30).map(|n| arm(0.01 + n as f32 / 300.0, n, n / 7)).collect(),
        ];
        for arms in cases {
            let exact = chances(arms.iter().copied());
            assert!((exact.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (exact, simulated) in exact.iter().zip(simulated(&arms, 40_000)) {
                assert!((exact - simulated).abs() < 0.015, "{exact} {simulated} of {arms:?}");
            }
        }
    }

    #[test]
    fn odd_arms_have_chances_too() {
        let odd = [0.0, 1.0, f32::NAN].map(|prior| Arm { prior, shown: 0, clicked: 9 });
        let chances = chances(odd.into_iter());
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)), "{chances:?}");
        assert!(super::chances([].into_iter()).is_empty());
    }
}
