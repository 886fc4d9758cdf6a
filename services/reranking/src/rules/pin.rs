//! Pin: a place for the best item that meets a filter.

use plugrank_contract::Filter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Applied, Field, Rule, RuleKind, Turn, Vacancy};
use crate::inputs::{Inputs, filter_problem};

/// A place for the best item that meets a filter; for one item, filter by `item_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinOptions {
    /// Which items.
    pub filter: Filter,
    /// Which place, from 1, counted over all pages.
    pub place: usize,
}

impl RuleKind for PinOptions {
    fn problem(&self) -> Option<String> {
        let wrong = !(1..=10_000).contains(&self.place);
        wrong
            .then(|| format!("`place` is {}; places count from 1", self.place))
            .or_else(|| filter_problem(&self.filter))
    }

    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule> {
        Box::new(Pin { filter: inputs.filter(&self.filter), place: self.place })
    }
}

/// What of the rule holds for every request.
#[derive(Clone, Copy)]
struct Pin {
    filter: usize,
    place: usize,
}

impl Rule for Pin {
    fn name(&self) -> &'static str {
        "pin"
    }

    fn turn(&self) -> Turn {
        Turn::Pins
    }

    fn begin(&self, field: &Field<'_>) -> Option<Box<dyn Applied>> {
        let here = self.place > field.before && self.place <= field.before + field.k;
        here.then(|| -> Box<dyn Applied> { Box::new(*self) })
    }
}

impl Applied for Pin {
    fn claims(&mut self, field: &Field<'_>, vacancy: &Vacancy<'_>) -> Option<usize> {
        if field.before + vacancy.place + 1 != self.place {
            return None;
        }
        let worth = |item| field.meets(self.filter, item).then(|| vacancy.value(field, item));
        vacancy.greatest(worth)
    }
}
