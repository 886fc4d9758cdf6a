//! Boost and bury: items that meet a filter count for more, or for less.

use plugrank_contract::{Filter, reranking::RuleFacts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Rule, RuleKind, Turn};
use crate::inputs::{Inputs, filter_problem};

/// The greatest factor, and one over the smallest.
const MOST: f32 = 1e6;

/// Items that meet a filter count for more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoostOptions {
    /// Which items.
    pub filter: Filter,
    /// How many times as much they are worth; above 1.
    pub factor: f32,
}

/// Items that meet a filter count for less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuryOptions {
    /// Which items.
    pub filter: Filter,
    /// How much of their worth is left; below 1. When left out, they come after all others.
    #[serde(default = "last")]
    pub factor: f32,
}

fn last() -> f32 {
    1.0 / MOST
}

impl RuleKind for BoostOptions {
    fn problem(&self) -> Option<String> {
        let wrong = !(self.factor > 1.0 && self.factor <= MOST);
        wrong
            .then(|| format!("`factor` is {}; it must be above 1", self.factor))
            .or_else(|| filter_problem(&self.filter))
    }

    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule> {
        let filter = inputs.filter(&self.filter);
        inputs.reorders();
        Box::new(Weight { name: "boost", filter, factor: self.factor })
    }
}

impl RuleKind for BuryOptions {
    fn problem(&self) -> Option<String> {
        let wrong = !(self.factor >= 1.0 / MOST && self.factor < 1.0);
        wrong
            .then(|| format!("`factor` is {}; it must be above 0 and below 1", self.factor))
            .or_else(|| filter_problem(&self.filter))
    }

    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule> {
        let filter = inputs.filter(&self.filter);
        inputs.reorders();
        Box::new(Weight { name: "bury", filter, factor: self.factor })
    }
}

struct Weight {
    name: &'static str,
    filter: usize,
    factor: f32,
}

impl Rule for Weight {
    fn name(&self) -> &'static str {
        self.name
    }

    fn turn(&self) -> Turn {
        Turn::Weighs
    }

    fn weigh(&self, facts: &RuleFacts, values: &mut [f32]) {
        for (place, value) in values.iter_mut().enumerate() {
            if facts.meets(self.filter, place) {
                // What is worth less than nothing is worth more the nearer it is to nothing.
                *value *= if *value < 0.0 { 1.0 / self.factor } else { self.factor };
            }
        }
    }
}
