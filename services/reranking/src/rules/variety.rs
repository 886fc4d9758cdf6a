//! Variety: each further item of one value of a column counts for less.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Applied, Field, Rule, RuleKind};
use crate::inputs::Inputs;

/// An item is worth `factor` times as much for each item above it that has the same value of a column,
/// such as a product type. Items without a value are not counted; of a list the first element counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VarietyOptions {
    /// Which column: `categories`, or a feature.
    pub column: String,
    /// How much of its worth an item keeps for each one above; above 0 and below 1.
    pub factor: f32,
}

impl RuleKind for VarietyOptions {
    fn problem(&self) -> Option<String> {
        if self.column.is_empty() {
            return Some("`column` must name a column".to_owned());
        }
        let wrong = !(self.factor > 0.0 && self.factor < 1.0);
        wrong.then(|| format!("`factor` is {}; it must be above 0 and below 1", self.factor))
    }

    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule> {
        Box::new(Variety { column: inputs.column(&self.column), factor: self.factor })
    }
}

#[derive(Clone, Copy)]
struct Variety {
    column: usize,
    factor: f32,
}

impl Rule for Variety {
    fn name(&self) -> &'static str {
        "variety"
    }

    fn begin(&self, _: &Field<'_>) -> Option<Box<dyn Applied>> {
        Some(Box::new(Counted { rule: *self, counts: HashMap::new() }))
    }
}

struct Counted {
    rule: Variety,
    /// Items that were placed, by their value.
    counts: HashMap<u32, i32>,
}

impl Applied for Counted {
    /// Takes off the difference alone, so that other rules may do the same.
    fn placed(&mut self, field: &Field<'_>, item: usize, values: &mut [f32]) {
        let Variety { column, factor } = self.rule;
        let key = field.key(column, item);
        if key == 0 {
            return;
        }
        let count = self.counts.entry(key).or_insert(0);
        let lost = factor.powi(*count) * (1.0 - factor);
        *count += 1;
        for (other, value) in values.iter_mut().enumerate() {
            if field.key(column, other) == key {
                *value -= field.value[other].max(0.0) * lost;
            }
        }
    }
}
