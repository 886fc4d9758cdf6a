//! Thompson sampling with known probabilities.
//!
//! W. R. Thompson, Biometrika 1933: each arm is taken with the probability that it is the best one, given
//! what was seen of it. Here an arm's click probability has a Beta distribution. The probability that arm
//! i is the best is the integral of `f_i(x) Π_{j≠i} F_j(x)`. It is worked out on a grid, as
//! `f_i(x)/F_i(x) Π_j F_j(x)`, whose product is the same for all arms, and the arm is
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

/// Logarithm of a share of an arm's probability below which a cell counts as empty.
const EMPTY: f64 = -60.0;

/// Arms of which some are in the running. What is costly is worked out once an arm; to take an arm out or
/// in, and to know the chance of one, takes one pass over the grid.
pub(super) struct Arms {
    /// Of each arm by cell: its probability there over that to lie below the cell's middle.
    ratios: Vec<f64>,
    /// Of each arm by cell: the logarithm of the latter.
    below: Vec<f64>,
    running: Vec<bool>,
    /// Sums over the arms in the running.
    all_ratios: Vec<f64>,
    all_below: Vec<f64>,
    /// By cell: the probability that all in the running lie below its middle.
    product: Vec<f64>,
    /// What the chances of those in the running add up to on the grid.
    total: f64,
}

impl Arms {
    /// Arms, none of them in the running.
    pub(super) fn new(arms: impl ExactSizeIterator<Item = Arm>) -> Self {
        let points = points();
        let (count, cells) = (arms.len(), arms.len() * POINTS);
        let (mut ratios, mut below) = (Vec::with_capacity(cells), Vec::with_capacity(cells));
        let mut row = vec![0.0f64; POINTS];
        for arm in arms {
            let (a, b) = arm.beta();
            for (cell, point) in row.iter_mut().zip(&points) {
                *cell = (a - 1.0) * point.log + (b - 1.0) * point.log_rest + point.log_width;
            }
            let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for cell in &mut row {
                let log = *cell - greatest;
                *cell = if log < EMPTY { 0.0 } else { log.exp() };
            }
            let whole: f64 = row.iter().sum();
            let (mut sum, mut log) = (0.0, f64::MIN_POSITIVE.ln());
            for mass in row.iter().map(|mass| mass / whole) {
                if mass > 0.0 {
                    let middle = (sum + mass / 2.0).max(f64::MIN_POSITIVE);
                    ratios.push(mass / middle);
                    log = middle.ln();
                    sum += mass;
                } else {
                    ratios.push(0.0);
                }
                below.push(log);
            }
        }
        let zeros = || vec![0.0; POINTS];
        Self {
            ratios,
            below,
            running: vec![false; count],
            all_ratios: zeros(),
            all_below: zeros(),
            product: zeros(),
            total: 0.0,
        }
    }

    /// Says which arms are in the running.
    pub(super) fn run(&mut self, is_running: impl Fn(usize) -> bool) {
        for arm in 0..self.running.len() {
            let now = is_running(arm);
            let before = std::mem::replace(&mut self.running[arm], now);
            let sign = match (before, now) {
                (false, true) => 1.0,
                (true, false) => -1.0,
                _ => continue,
            };
            let cells = arm * POINTS..(arm + 1) * POINTS;
            let rows = self.ratios[cells.clone()].iter().zip(&self.below[cells]);
            let sums = self.all_ratios.iter_mut().zip(&mut self.all_below);
            for ((ratio, below), (all_ratios, all_below)) in rows.zip(sums) {
                *all_ratios += sign * ratio;
                *all_below += sign * below;
            }
        }
        for (product, below) in self.product.iter_mut().zip(&self.all_below) {
            *product = below.exp();
        }
        let cells = self.product.iter().zip(&self.all_ratios);
        self.total = cells.map(|(product, ratios)| product * ratios.max(0.0)).sum();
    }

    /// The probability of an arm in the running to be the best of them. They add up to 1.
    pub(super) fn chance(&self, arm: usize) -> f64 {
        if self.total > 0.0 {
            let ratios = &self.ratios[arm * POINTS..(arm + 1) * POINTS];
            let cells = self.product.iter().zip(ratios);
            return cells.map(|(product, ratio)| product * ratio).sum::<f64>() / self.total;
        }
        let running = self.running.iter().filter(|running| **running).count();
        1.0 / running.max(1) as f64
    }
}

/// A cell of the grid.
struct Point {
    /// Logarithm of its middle.
    log: f64,
    /// Logarithm of what is left of 1.
    log_rest: f64,
    log_width: f64,
}

/// The cells, close together near 0, where click probabilities lie: evenly spaced in the square root.
fn points() -> Vec<Point> {
    let edge = |n: usize| (n as f64 / POINTS as f64).powi(2);
    let point = |n: usize| {
        let (middle, width) = ((edge(n) + edge(n + 1)) / 2.0, edge(n + 1) - edge(n));
        Point { log: middle.ln(), log_rest: (1.0 - middle).ln(), log_width: width.ln() }
    };
    (0..POINTS).map(point).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{Arm, Arms};

    /// The chances of all arms.
    fn chances(arms: impl ExactSizeIterator<Item = Arm>) -> Vec<f64> {
        let count = arms.len();
        let mut arms = Arms::new(arms);
        arms.run(|_| true);
        (0..count).map(|arm| arms.chance(arm)).collect()
    }

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
    fn probabilities_equal_those_of_simulated_draws() {
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
    fn arms_with_extreme_counts_have_probabilities() {
        let odd = [0.0, 1.0, f32::NAN].map(|prior| Arm { prior, shown: 0, clicked: 9 });
        let chances = chances(odd.into_iter());
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)), "{chances:?}");
        assert!(super::tests::chances([].into_iter()).is_empty());
    }

    #[test]
    fn removing_and_restoring_arms_equals_recomputing_without_them() {
        let arm = |n: u16| Arm { prior: 0.02 + f32::from(n) / 50.0, shown: n.into(), clicked: 0 };
        let all: Vec<Arm> =
            (0..40).map(arm).chain([Arm { prior: 0.9, shown: 5_000, clicked: 4_500 }]).collect();
        let mut arms = Arms::new(all.iter().copied());
        arms.run(|_| true);
        assert!(arms.chance(40) > 0.99, "it dominates the others");
        arms.run(|arm| arm < 20);
        let few = chances(all[..20].iter().copied());
        for (arm, few) in few.iter().enumerate() {
            assert!((arms.chance(arm) - few).abs() < 1e-9, "{} {few}", arms.chance(arm));
        }
        arms.run(|arm| arm % 2 == 0);
        arms.run(|_| true);
        for (arm, whole) in chances(all.iter().copied()).iter().enumerate() {
            assert!((arms.chance(arm) - whole).abs() < 1e-9);
        }
    }
}
