//! Minimum share: at least so many items that meet a filter among any so many places.

use std::collections::VecDeque;

use plugrank_contract::Filter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Applied, Field, Rule, RuleKind, Turn, Vacancy};
use crate::inputs::{Inputs, filter_problem};

/// At least `min` items that meet a filter among any `window` places in a row of a page, as far as there
/// are such items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MinShareOptions {
    /// Which items.
    pub filter: Filter,
    /// How many.
    pub min: usize,
    /// Among how many places.
    pub window: usize,
}

impl RuleKind for MinShareOptions {
    fn problem(&self) -> Option<String> {
        let possible = self.min >= 1 && self.min <= self.window && self.window <= 10_000;
        (!possible)
            .then(|| "`min` must be 1 to `window`, and `window` at most 10000".to_owned())
            .or_else(|| filter_problem(&self.filter))
    }

    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule> {
        let filter = inputs.filter(&self.filter);
        Box::new(MinShare { filter, min: self.min, window: self.window })
    }
}

#[derive(Clone, Copy)]
struct MinShare {
    filter: usize,
    min: usize,
    window: usize,
}

impl Rule for MinShare {
    fn name(&self) -> &'static str {
        "min_share"
    }

    fn turn(&self) -> Turn {
        Turn::Keeps
    }

    fn begin(&self, field: &Field<'_>) -> Option<Box<dyn Applied>> {
        // A page that is shorter than the window has no window.
        (field.k >= self.window).then(|| -> Box<dyn Applied> {
            Box::new(Kept { rule: *self, last: VecDeque::with_capacity(self.window) })
        })
    }
}

struct Kept {
    rule: MinShare,
    /// Of the last places, the latest at the end: whether the item meets the filter. As many as a window
    /// that is not full yet can hold.
    last: VecDeque<bool>,
}

impl Kept {
    /// Whether a window cannot be filled any more unless the next place counts. The window that ends
    /// `ahead` places after the next one has the next one, those ahead, and the last ones before.
    fn is_tight(&self, place: usize, k: usize) -> bool {
        let MinShare { min, window, .. } = self.rule;
        (0..min).any(|ahead| {
            let end = place + ahead;
            let within = end + 1 >= window && end < k;
            let past = window - 1 - ahead;
            let there = self.last.iter().rev().take(past).filter(|meets| **meets).count();
            within && there + ahead < min
        })
    }
}

impl Applied for Kept {
    fn placed(&mut self, field: &Field<'_>, item: usize, _: &mut [f32]) {
        if self.last.len() == self.rule.window {
            self.last.pop_front();
        }
        self.last.push_back(field.meets(self.rule.filter, item));
    }

    fn claims(&mut self, field: &Field<'_>, vacancy: &Vacancy<'_>) -> Option<usize> {
        let counts = |item| field.meets(self.rule.filter, item);
        if counts(vacancy.best) || !self.is_tight(vacancy.place, field.k) {
            return None;
        }
        vacancy.greatest(|item| counts(item).then(|| vacancy.value(field, item)))
    }
}
