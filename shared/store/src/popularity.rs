//! How popular an item is: what events count, less the older they are.

use std::time::Duration;

use plugrank_contract::TimestampMs;

/// After how long an event counts half, where nothing else is set.
pub const DEFAULT_HALF_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A sum of weights that halves with every half-life: its value at a moment.
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_store::Decayed;
///
/// let half_life = Duration::from_secs(60);
/// let mut sum = Decayed::default();
/// sum.add(4.0, 0, half_life);
/// sum.add(1.0, 60_000, half_life);
/// assert_eq!(sum.value_at(120_000, half_life), 1.5);
/// // What comes late counts as if it had come in time.
/// sum.add(4.0, 0, half_life);
/// assert_eq!(sum.value_at(60_000, half_life), 5.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decayed {
    /// The sum at that moment.
    pub value: f64,
    /// The moment.
    pub at: TimestampMs,
}

impl Decayed {
    /// Adds a weight of a moment.
    pub fn add(&mut self, weight: f64, at: TimestampMs, half_life: Duration) {
        if self.value == 0.0 {
            *self = Self { value: weight, at };
            return;
        }
        let moment = self.at.max(at);
        self.value = self.value_at(moment, half_life) + left(weight, at, moment, half_life);
        self.at = moment;
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(mut self, other: Self, half_life: Duration) -> Self {
        self.add(other.value, other.at, half_life);
        self
    }

    /// The sum at a moment; at an earlier one than the last weight's it is the greater.
    #[must_use]
    pub fn value_at(&self, moment: TimestampMs, half_life: Duration) -> f64 {
        left(self.value, self.at, moment, half_life)
    }
}

/// What is left at a moment of a weight.
fn left(weight: f64, at: TimestampMs, moment: TimestampMs, half_life: Duration) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * share_left(at, moment, half_life) }
}

/// The share that is left at `moment` of a weight of `at`, which halves with every half-life; above 1 for a moment
/// before `at`.
#[must_use]
pub fn share_left(at: TimestampMs, moment: TimestampMs, half_life: Duration) -> f64 {
    let passed = moment.saturating_sub(at) as f64 / half_life.as_millis().max(1) as f64;
    (-passed).exp2()
}
