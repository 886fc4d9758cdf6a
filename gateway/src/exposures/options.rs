//! Whether served lists are logged: section `[exposures]` of the settings.

use garde::Validate;
use plugrank_settings::rules::finite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The log of served lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ExposuresOptions {
    /// Whether every served list is logged: for the results of experiments, and to train on.
    #[garde(skip)]
    pub log: bool,
    /// Most lists that wait to be logged; further ones are dropped and counted. A list of 20 items takes
    /// some 700 bytes while it waits.
    #[garde(range(min = 1, max = 1_000_000))]
    pub queue: usize,
    /// Share of the requests that are logged in full: with all candidates, what each is worth, what the rules
    /// read of it, and the seed, so that `plugrank replay --lists` can re-rank them again. Some 50 KiB each.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub full_share: f64,
}

impl Default for ExposuresOptions {
    fn default() -> Self {
        Self { log: true, queue: 10_000, full_share: 0.0 }
    }
}
