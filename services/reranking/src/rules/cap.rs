//! Cap: at most so many items of one value of a column among any so many places.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Applied, Field, Rule, RuleKind};
use crate::inputs::Inputs;

/// At most `max` items of one value of a column among any `window` places in a row of a page. Items
/// without a value are not counted; of a list the first element counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapOptions {
    /// Which column: `categories`, or a feature.
    pub column: String,
    /// How many.
    pub max: usize,
    /// Among how many places.
    pub window: usize,
}

impl RuleKind for CapOptions {
    fn problem(&self) -> Option<String> {
        if self.column.is_empty() {
            return Some("`column` must name a column".to_owned());
        }
        let possible = self.max >= 1 && self.max < self.window && self.window <= 10_000;
        let wrong =
            || "`max` must be at least 1 and below `window`, which is at most 10000".to_owned();
        (!possible).then(wrong)
    }

    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule> {
        let column = inputs.column(&self.column);
        Box::new(Cap { column, max: self.max, window: self.window })
    }
}

#[derive(Clone, Copy)]
struct Cap {
    column: usize,
    max: usize,
    window: usize,
}

impl Rule for Cap {
    fn name(&self) -> &'static str {
        "cap"
    }

    fn begin(&self, _: &Field<'_>) -> Option<Box<dyn Applied>> {
        Some(Box::new(Counted { rule: *self, last: VecDeque::with_capacity(self.window) }))
    }
}

struct Counted {
    rule: Cap,
    /// Values of the last places of the window that the next place ends.
    last: VecDeque<u32>,
}

impl Applied for Counted {
    fn placed(&mut self, field: &Field<'_>, item: usize, _: &mut [f32]) {
        if self.last.len() + 1 == self.rule.window {
            self.last.pop_front();
        }
        self.last.push_back(field.key(self.rule.column, item));
    }

    fn admits(&self, field: &Field<'_>, item: usize) -> bool {
        let key = field.key(self.rule.column, item);
        key == 0 || self.last.iter().filter(|last| **last == key).count() < self.rule.max
    }
}
