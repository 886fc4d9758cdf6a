//! The rules, each a file of its own.

pub mod boost;
pub mod cap;
pub mod category_cap;
pub mod diversity;
pub mod duplicates;
pub mod exploration;
pub mod min_share;
pub mod pin;
pub mod sponsored;
mod thompson;
pub mod variety;

use plugrank_contract::{TimestampMs, reranking::RuleFacts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Facts, inputs::Inputs, similarity::Similarity};

/// Makes the list of rules that settings may name.
macro_rules! rules {
    ($($(#[$doc:meta])* $kind:ident($options:path),)*) => {
        /// A rule as the settings have it: `rule` says which, the other keys are its own.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "rule", rename_all = "snake_case")]
        pub enum RuleOptions { $($(#[$doc])* $kind($options),)* }

        impl RuleOptions {
            pub(crate) fn kind(&self) -> &dyn RuleKind {
                match self { $(Self::$kind(options) => options,)* }
            }
        }
    };
}

rules! {
    /// Items that meet a filter count for more.
    Boost(boost::BoostOptions),
    /// Items that meet a filter count for less.
    Bury(boost::BuryOptions),
    /// A place for the best item that meets a filter.
    Pin(pin::PinOptions),
    /// Places that are sold.
    Sponsored(sponsored::SponsoredOptions),
    /// At least so many items that meet a filter among any so many places.
    MinShare(min_share::MinShareOptions),
    /// At most so many items of one value of a column among any so many places.
    Cap(cap::CapOptions),
    /// Each further item of one value of a column counts for less.
    Variety(variety::VarietyOptions),
    /// Similar items count for less: in place of `reranking.lambda`.
    Diversity(diversity::DiversityOptions),
    /// Items that have not been shown much: in place of `reranking.exploration_share`.
    Exploration(exploration::ExplorationOptions),
}

impl RuleOptions {
    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<String> {
        self.kind().problem()
    }
}

/// A rule that settings may name.
pub(crate) trait RuleKind {
    /// What is wrong with its keys.
    fn problem(&self) -> Option<String>;
    /// The rule; what it reads of items is noted in `inputs`.
    fn build(&self, inputs: &mut Inputs) -> Box<dyn Rule>;
}

/// When a rule is applied: the earlier ones say what items are worth, the later ones who gets a place.
/// Who gets a place first is settled in this order too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It says what items are worth before they are put in order.
    Weighs,
    /// It says what they are worth as places are filled, or which may not be placed.
    Fills,
    /// It gives a place to an item of its choice.
    Pins,
    /// It sells places.
    Sells,
    /// It keeps a share.
    Keeps,
    /// It explores.
    Explores,
}

/// Candidates of one request in the order of their value, and what is known about them. An item is its
/// place in that order.
#[derive(Debug)]
pub struct Field<'a> {
    /// What the candidates are worth, in the order.
    pub value: &'a [f32],
    /// Click probabilities, in the order. One may be no finite number though its candidate is worth something.
    pub ctr: &'a [f32],
    /// Categories and ages.
    pub facts: Facts<'a>,
    /// What the rules read beside these, by the place in the list given.
    pub rule_facts: &'a RuleFacts,
    /// Those places, in the order.
    pub order: &'a [u32],
    /// How many of the first are compared with one another.
    pub pool: usize,
    /// How similar those are.
    pub similarity: Similarity,
    /// How many places there are to fill.
    pub k: usize,
    /// Places of the pages before.
    pub before: usize,
    /// The moment of the request.
    pub as_of: TimestampMs,
    /// Seeds what is drawn.
    pub seed: u64,
}

impl Field<'_> {
    /// The greatest value; 0 when none is a number.
    #[must_use]
    pub fn best(&self) -> f32 {
        self.value.first().copied().filter(|best| best.is_finite()).unwrap_or(0.0)
    }

    /// Names an item's value of a column; 0 where it has none.
    #[must_use]
    pub fn key(&self, column: usize, item: usize) -> u32 {
        self.rule_facts.key(column, self.order[item] as usize)
    }

    /// An item's number in a column; NaN where it has none.
    #[must_use]
    pub fn number(&self, column: usize, item: usize) -> f32 {
        self.rule_facts.number(column, self.order[item] as usize)
    }

    /// Whether an item meets a filter.
    #[must_use]
    pub fn meets(&self, filter: usize, item: usize) -> bool {
        self.rule_facts.meets(filter, self.order[item] as usize)
    }

    /// How often an item was shown, and clicked.
    #[must_use]
    pub fn shown_and_clicked(&self, item: usize) -> (u64, u64) {
        self.rule_facts.shown_and_clicked(self.order[item] as usize)
    }
}

/// A rule of re-ranking.
///
/// A rule keeps its guarantee with any other rules: at most `k` distinct candidates come out, and
/// their scores never rise from one place to the next.
pub trait Rule: Send + Sync {
    /// What to call it where a place or a skipped rule names it.
    fn name(&self) -> &'static str;

    /// When it is applied.
    fn turn(&self) -> Turn {
        Turn::Fills
    }

    /// Whether a list has it once.
    fn is_single(&self) -> bool {
        false
    }

    /// Changes what candidates are worth, in the order in which they were given.
    fn weigh(&self, _facts: &RuleFacts, _values: &mut [f32]) {}

    /// Begins with one request; `None` when it has nothing more to do there.
    fn begin(&self, _field: &Field<'_>) -> Option<Box<dyn Applied>> {
        None
    }
}

/// The next place, and who may have it.
pub struct Vacancy<'a> {
    /// Which place, from 0.
    pub place: usize,
    /// The item that has it unless a rule says otherwise.
    pub best: usize,
    /// How many candidates there are whose value is a number; these come first in the order.
    pub numbers: usize,
    /// What the items of the pool are worth now; the others are worth what the field says.
    pub values: &'a [f32],
    /// Whether an item is left, and no other rule objects to it.
    pub admits: &'a dyn Fn(usize) -> bool,
}

impl Vacancy<'_> {
    /// What an item is worth now.
    #[must_use]
    pub fn value(&self, field: &Field<'_>, item: usize) -> f32 {
        self.values.get(item).copied().unwrap_or(field.value[item])
    }

    /// The admitted item with the greatest worth by a measure, the first of equals.
    pub fn greatest(&self, worth: impl Fn(usize) -> Option<f32>) -> Option<usize> {
        let mut found: Option<(usize, f32)> = None;
        for item in 0..self.numbers {
            if let Some(worth) = worth(item)
                && found.is_none_or(|(_, best)| worth > best)
                && (self.admits)(item)
            {
                found = Some((item, worth));
            }
        }
        found.map(|(item, _)| item)
    }
}

/// A rule at work on one request.
pub trait Applied {
    /// An item was given the next place. `values` is what the items of the pool are worth from now
    /// on; a rule takes off or adds what it has to.
    fn placed(&mut self, _field: &Field<'_>, _item: usize, _values: &mut [f32]) {}

    /// Whether the next place may go to an item.
    fn admits(&self, _field: &Field<'_>, _item: usize) -> bool {
        true
    }

    /// The item that the next place goes to, where the rule gives it away. Asked once a place, and not
    /// once another rule has given it away.
    fn claims(&mut self, _field: &Field<'_>, _vacancy: &Vacancy<'_>) -> Option<usize> {
        None
    }

    /// With which probability the place that was just asked about goes to an item, given those before
    /// it; `None` where the rule draws nothing.
    fn propensity(&self, _item: usize, _best: usize) -> Option<f32> {
        None
    }
}

#[cfg(test)]
#[allow(
    unreachable_pub,
    private_interfaces,
    reason = "lists made here are as public as the real one"
)]
mod tests;
