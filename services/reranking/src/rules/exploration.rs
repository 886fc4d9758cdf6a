//! Exploration: some places go to items that have not been shown much, so that an item without history
//! gets a chance to be seen. The probability is known exactly, so that it can be learned from.

use plugrank_contract::{TimestampMs, retrieval::Name};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Applied, Field, Rule, RuleKind, Turn, Vacancy, thompson};
use crate::inputs::Inputs;

/// What a place says that was kept for an item that has not been shown much.
pub const EXPLORED: Name = Name::Borrowed("explored");
/// What the rule is called.
pub(crate) const NAME: &str = "exploration";

/// A day, in milliseconds.
const DAY_MS: TimestampMs = 86_400_000;
/// Age up to which an item is fresh, in days, unless the settings say otherwise.
pub(crate) const FRESH_DAYS: u32 = 7;

/// Items that have not been shown much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExplorationOptions {
    /// Share of the places, on average; at most a half. The first place never explores.
    pub share: f64,
    /// Age up to which an item takes part, in days. When left out with `max_impressions`, any age.
    pub fresh_days: Option<u32>,
    /// How often an item may have been shown to take part. When left out, however often.
    pub max_impressions: Option<u64>,
    /// How an item is drawn of those that take part.
    pub draw: Draw,
    /// Of `thompson`: share of the draws that are uniform all the same, so that no item's probability is
    /// 0; above 0 and at most 1.
    pub uniform_floor: f64,
}

impl Default for ExplorationOptions {
    fn default() -> Self {
        let draw = Draw::Uniform;
        Self { share: 0.05, fresh_days: None, max_impressions: None, draw, uniform_floor: 0.2 }
    }
}

/// How an item is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// All alike.
    #[default]
    Uniform,
    /// Thompson sampling on the click probability.
    Thompson,
}

impl RuleKind for ExplorationOptions {
    fn problem(&self) -> Option<String> {
        if !(0.0..=0.5).contains(&self.share) {
            return Some(format!("`share` is {}; it must be 0 to 0.5", self.share));
        }
        let wrong = !(self.uniform_floor > 0.0 && self.uniform_floor <= 1.0);
        let floor = self.uniform_floor;
        wrong.then(|| format!("`uniform_floor` is {floor}; it must be above 0 and at most 1"))
    }

    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule> {
        if self.max_impressions.is_some() || self.draw == Draw::Thompson {
            inputs.stats();
        }
        let days = match (self.fresh_days, self.max_impressions) {
            (None, Some(_)) => None,
            (days, _) => Some(days.unwrap_or(FRESH_DAYS)),
        };
        Box::new(Exploration {
            share: self.share,
            fresh_ms: days.map(|days| TimestampMs::from(days) * DAY_MS),
            max_impressions: self.max_impressions,
            floor: match self.draw {
                Draw::Uniform => 1.0,
                Draw::Thompson => self.uniform_floor,
            },
        })
    }
}

/// Each place but the first explores with the same probability, by itself. A place that explores goes to
/// an item drawn among the eligible: those that have not been shown much, are left, and that no other
/// rule objects to. So the probability of an item at a place, given the places before it, is known:
/// `(1 - e) [it is the best] + e q`, where `e` is the probability of exploring and `q` that of the draw.
#[derive(Clone, Copy, Debug)]
pub struct Exploration {
    /// Share of the places.
    share: f64,
    /// Age up to which an item is fresh; `None`: any.
    fresh_ms: Option<TimestampMs>,
    max_impressions: Option<u64>,
    /// Share of the draws that are uniform.
    floor: f64,
}

impl Exploration {
    /// This share of the places, for items up to this age, all with the same chance.
    #[must_use]
    pub fn new(share: f64, fresh_days: u32) -> Self {
        let fresh_ms = TimestampMs::from(fresh_days) * DAY_MS;
        Self { share, fresh_ms: Some(fresh_ms), max_impressions: None, floor: 1.0 }
    }

    fn is_eligible(&self, field: &Field<'_>, item: usize) -> bool {
        let fresh = self
            .fresh_ms
            .is_none_or(|fresh_ms| is_fresh(field.facts.created_at(item), field.as_of, fresh_ms));
        let seldom = |most: u64| field.shown_and_clicked(item).0 < most;
        fresh && self.max_impressions.is_none_or(seldom)
    }

    /// Probability that a place explores, so that the share holds on average.
    fn chance(&self, k: usize) -> f64 {
        if k < 2 { 0.0 } else { (self.share * k as f64 / (k - 1) as f64).min(1.0) }
    }
}

impl Rule for Exploration {
    fn name(&self) -> &'static str {
        NAME
    }

    fn turn(&self) -> Turn {
        Turn::Explores
    }

    fn is_single(&self) -> bool {
        true
    }

    fn begin(&self, field: &Field<'_>) -> Option<Box<dyn Applied>> {
        let chance = self.chance(field.k);
        if chance == 0.0 {
            return None;
        }
        let eligible: Vec<usize> = (0..field.value.len())
            .filter(|item| field.value[*item].is_finite() && self.is_eligible(field, *item))
            .collect();
        Some(Box::new(Drawing {
            rule: *self,
            chance,
            rng: ChaCha8Rng::seed_from_u64(field.seed),
            arms: (self.floor < 1.0).then(|| {
                thompson::Arms::new(eligible.iter().map(|item| {
                    let (shown, clicked) = field.shown_and_clicked(*item);
                    thompson::Arm { prior: field.ctr[*item], shown, clicked }
                }))
            }),
            eligible,
            asked: false,
            open: Vec::new(),
        }))
    }
}

struct Drawing {
    rule: Exploration,
    /// Probability that a place explores.
    chance: f64,
    rng: ChaCha8Rng,
    /// Items that have not been shown much.
    eligible: Vec<usize>,
    /// Whether the place in question was one to explore at.
    asked: bool,
    /// Of the eligible, by their place among them: those that could have the place in question.
    open: Vec<usize>,
    /// The eligible as arms, where not all have the same chance.
    arms: Option<thompson::Arms>,
}

impl Drawing {
    /// With which probability one of the open is drawn, by its place among the eligible.
    fn chance_of(&self, eligible: usize) -> f64 {
        let uniform = 1.0 / self.open.len().max(1) as f64;
        let floor = self.rule.floor;
        let best = |arms: &thompson::Arms| (1.0 - floor) * arms.chance(eligible);
        self.arms.as_ref().map_or(uniform, |arms| floor * uniform + best(arms))
    }
}

impl Applied for Drawing {
    fn claims(&mut self, _: &Field<'_>, vacancy: &Vacancy<'_>) -> Option<usize> {
        self.asked = false;
        if vacancy.place == 0 {
            return None;
        }
        // Drawn in any case, so that one place's draw does not depend on what could have it.
        let (explores, which) = (self.rng.random::<f64>(), self.rng.random::<f64>());
        self.open.clear();
        let places = 0..self.eligible.len();
        self.open.extend(places.filter(|at| (vacancy.admits)(self.eligible[*at])));
        if self.open.is_empty() {
            return None;
        }
        self.asked = true;
        if let Some(arms) = &mut self.arms {
            arms.run(|arm| self.open.binary_search(&arm).is_ok());
        }
        if explores >= self.chance {
            return None;
        }
        let mut left = which;
        let drawn = self.open.iter().find(|at| {
            left -= self.chance_of(**at);
            left < 0.0
        });
        // Rounding may leave a little; it is the last one's.
        let drawn = drawn.or(self.open.last())?;
        self.eligible.get(*drawn).copied()
    }

    fn propensity(&self, item: usize, best: usize) -> Option<f32> {
        if !self.asked {
            return Some(f32::from(u8::from(item == best)));
        }
        let drawn = self.open.iter().find(|at| self.eligible[**at] == item);
        let drawn = drawn.map_or(0.0, |at| self.chance_of(*at));
        let kept = if item == best { 1.0 - self.chance } else { 0.0 };
        Some((kept + self.chance * drawn) as f32)
    }
}

/// Whether an item that entered the catalog at `created_at` is at most `fresh_ms` old at a moment. One that is
/// not yet there, or whose time of creation is not known, is not.
#[must_use]
pub fn is_fresh(
    created_at: Option<TimestampMs>,
    as_of: TimestampMs,
    fresh_ms: TimestampMs,
) -> bool {
    created_at
        .and_then(|created_at| as_of.checked_sub(created_at))
        .is_some_and(|age| (0..=fresh_ms).contains(&age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_fresh_within_a_window_before_the_request() {
        let fresh = |created_at| is_fresh(created_at, 1_000, 100);
        assert!(fresh(Some(900)) && fresh(Some(1_000)));
        assert!(!fresh(Some(899)) && !fresh(Some(1_001)) && !fresh(None));
        assert!(!fresh(Some(i64::MIN)));
    }
}
