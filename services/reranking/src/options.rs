//! How re-ranking is run: section `[reranking]` of the settings.

use garde::Validate;
use plugrank_settings::rules::finite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{RuleOptions, exploration::FRESH_DAYS};

/// The re-ranking service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct RerankingOptions {
    /// Weight of the click probability against diversity (λ of maximal marginal relevance); 1 turns
    /// diversity off.
    #[garde(range(min = 0.01, max = 1.0), custom(finite))]
    pub lambda: f64,
    /// Candidates with the best click probabilities among which similarity is compared; k where that
    /// is more.
    #[garde(range(min = 1, max = 100_000))]
    pub pool: usize,
    /// Most items of one main category among the first category_window; 0: no cap.
    #[garde(range(min = 0, max = 10_000))]
    pub category_cap: usize,
    /// Places in which the cap applies.
    #[garde(range(min = 1, max = 10_000))]
    pub category_window: usize,
    /// Whether an item is held back that has the same vector as one above it: another offer, or another
    /// listing of the same product.
    #[garde(skip)]
    pub hold_back_duplicates: bool,
    /// Share of the places that explore fresh items, on average; 0 turns exploration off.
    #[garde(range(min = 0.0, max = 0.5), custom(finite))]
    pub exploration_share: f64,
    /// Age up to which an item is fresh, in days.
    #[garde(range(min = 1, max = 36_500))]
    pub fresh_days: u32,
    /// Further rules of every request, in the order in which they are applied: `rule` says which, the
    /// other keys are its own (docs/rules.md). A surface has further ones.
    #[garde(custom(possible_rules))]
    #[schemars(extend("examples" = [[{ "rule": "cap", "column": "brand", "max": 3, "window": 10 }]]))]
    pub rules: Vec<RuleOptions>,
    /// Calls in flight at a time; one more is answered "overloaded".
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
}

impl Default for RerankingOptions {
    fn default() -> Self {
        Self {
            lambda: 0.8,
            pool: 200,
            category_cap: 10,
            category_window: 20,
            hold_back_duplicates: false,
            exploration_share: 0.05,
            fresh_days: FRESH_DAYS,
            rules: Vec::new(),
            max_in_flight: 1024,
        }
    }
}

/// Says which rule of a list is wrong, and how.
///
/// # Errors
/// When one is.
pub fn possible_rules(rules: &[RuleOptions], _: &()) -> garde::Result {
    let wrong = (1..).zip(rules).find_map(|(number, rule)| Some((number, rule.problem()?)));
    match wrong {
        None => Ok(()),
        Some((number, problem)) => {
            Err(garde::Error::new(format!("a list of rules; of rule {number} {problem}")))
        }
    }
}
