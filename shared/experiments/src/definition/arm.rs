//! Arms: what differs between the units of an experiment.

use serde::{Deserialize, Serialize};

/// One arm of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arm {
    /// Name, unique within the experiment.
    pub name: String,
    /// Share of the experiment's units, in permille. Either every arm has one, and together they
    /// are 1,000, or every arm has a weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permille: Option<u16>,
    /// Share relative to the weights of the other arms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// Stopped, by a guardrail or by hand: its units get the control.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Users who always get this arm, regardless of the split, the target and the ramp. They are
    /// left out of the results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<String>,
    /// What this arm changes; empty for "as it is".
    pub settings: ArmSettings,
}

impl Arm {
    /// The arm's share in the unit that the experiment's arms share: permille or weight.
    pub(super) fn share(&self) -> u64 {
        self.permille.or(self.weight).map_or(0, u64::from)
    }
}

/// What an arm changes for its requests. The code that applies an override knows what it may hold;
/// here it is only carried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArmSettings {
    /// Version of the model bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Name of the surface whose sources, filter, rules, formula and k serve, in place of those of the surface
    /// that the request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
    /// The rung of the ladder to serve at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
}
