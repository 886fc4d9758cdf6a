//! How experiments are followed and forced: section `[experiments]` of the settings.

use std::time::Duration;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Experiments. Their definitions are in the store, written by the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ExperimentsOptions {
    /// How often the store is asked whether the definitions have changed, in milliseconds: as long as
    /// another gateway may go on by the ones before.
    #[garde(range(min = 100, max = 600_000))]
    pub follow_ms: u64,
    /// How often running experiments are looked at, to take the next step of a ramp or to stop an arm, in
    /// milliseconds. Of gateways that share a store one does it.
    #[garde(range(min = 100, max = 3_600_000))]
    pub judge_ms: u64,
    /// Whether a request may name its own arms (`arms`), for tests. Such requests are left out of results.
    #[garde(skip)]
    pub forced_arms: bool,
}

impl Default for ExperimentsOptions {
    fn default() -> Self {
        Self { follow_ms: 1000, judge_ms: 60_000, forced_arms: false }
    }
}

impl ExperimentsOptions {
    pub(crate) fn judge_every(&self) -> Duration {
        Duration::from_millis(self.judge_ms)
    }

    pub(crate) fn follow_every(&self) -> Duration {
        Duration::from_millis(self.follow_ms)
    }
}
