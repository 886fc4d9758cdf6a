//! Sponsored places: sold to the item whose bid times its click probability is the greatest.

use plugrank_contract::Filter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Applied, Field, Rule, RuleKind, Turn, Vacancy};
use crate::inputs::{Inputs, filter_problem};

/// Places that go to the items with the greatest expected income: bid times click probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SponsoredOptions {
    /// The column with what is paid for a click; items without a bid above 0 take no part.
    pub bid: String,
    /// Which places, from 1, counted over all pages.
    pub places: Vec<usize>,
    /// Which items take part. When left out, all with a bid.
    #[serde(default)]
    pub filter: Filter,
}

impl RuleKind for SponsoredOptions {
    fn problem(&self) -> Option<String> {
        if self.places.is_empty() || !self.places.iter().all(|place| (1..=10_000).contains(place)) {
            return Some("`places` must name places, which count from 1".to_owned());
        }
        if self.bid.is_empty() {
            return Some("`bid` must name a column of numbers".to_owned());
        }
        if self.filter.is_empty() { None } else { filter_problem(&self.filter) }
    }

    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule> {
        let filter = (!self.filter.is_empty()).then(|| inputs.filter(&self.filter));
        let (bid, places) = (inputs.column(&self.bid), self.places.clone().into());
        Box::new(Sponsored { bid, places, filter })
    }
}

#[derive(Clone)]
struct Sponsored {
    bid: usize,
    places: std::sync::Arc<[usize]>,
    filter: Option<usize>,
}

impl Rule for Sponsored {
    fn name(&self) -> &'static str {
        "sponsored"
    }

    fn turn(&self) -> Turn {
        Turn::Sells
    }

    fn begin(&self, field: &Field<'_>) -> Option<Box<dyn Applied>> {
        let here = field.before + 1..=field.before + field.k;
        let any = self.places.iter().any(|place| here.contains(place));
        any.then(|| -> Box<dyn Applied> { Box::new(self.clone()) })
    }
}

impl Applied for Sponsored {
    fn claims(&mut self, field: &Field<'_>, vacancy: &Vacancy<'_>) -> Option<usize> {
        if !self.places.contains(&(field.before + vacancy.place + 1)) {
            return None;
        }
        vacancy.greatest(|item| {
            let bid = field.number(self.bid, item);
            let takes_part = self.filter.is_none_or(|filter| field.meets(filter, item));
            let income = bid * field.ctr[item];
            (bid > 0.0 && takes_part && income.is_finite()).then_some(income)
        })
    }
}
