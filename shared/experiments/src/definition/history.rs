//! What happened to an experiment: when which arm got how much, and why.

use serde::{Deserialize, Serialize};

/// A change of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefinitionChange {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What changed, such as `ramp 5% to 25%`.
    pub change: String,
    /// Who or what did it, and why.
    pub cause: String,
    /// Whether units moved between an arm and the control, so that results are counted from here on.
    pub moved_units: bool,
}
