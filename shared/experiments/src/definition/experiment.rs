//! An experiment, and which part of the hash space is whose.

use serde::{Deserialize, Serialize};

use super::{AnalysisPlan, Arm, DefinitionChange, Guardrail, Ramp, Slots, Target};

/// An experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// Name, unique among all experiments.
    pub name: String,
    /// The layer it belongs to.
    pub layer: String,
    /// What the split is salted with; by default the name. Another salt deals the units anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Its part of the layer.
    pub slots: Slots,
    /// Whom it is for.
    pub target: Target,
    /// Name of the arm the others are compared with, and that units fall back to.
    pub control: String,
    /// How far it has been let in; without one, wholly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// What was planned.
    pub plan: AnalysisPlan,
    /// What must not get worse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Guardrail>,
    /// Arms, at least two.
    pub arms: Vec<Arm>,
    /// What happened to it, kept by the server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<DefinitionChange>,
}

/// A part of the hash space `0..2^64` and the arm, by its place in the list, that has it. Bounds
/// are `u128` so that the end of the space can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: u128,
    pub(crate) to: u128,
    pub(crate) arm: usize,
}

impl Range {
    pub(crate) fn has(&self, hash: u64) -> bool {
        (self.from..self.to).contains(&u128::from(hash))
    }
}

/// One more than the largest hash.
const SPACE: u128 = 1 << 64;

impl Experiment {
    /// What the split is salted with.
    #[must_use]
    pub fn salt(&self) -> &str {
        self.salt.as_deref().unwrap_or(&self.name)
    }

    /// The place of the control among the arms.
    #[must_use]
    pub fn control_index(&self) -> Option<usize> {
        self.arms.iter().position(|arm| arm.name == self.control)
    }

    /// The share of units each arm gets at the present step of the ramp, in the order of the arms.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.arms.len()];
        for range in self.ranges() {
            shares[range.arm] = (range.to - range.from) as f64 / SPACE as f64;
        }
        if let Some(control) = self.control_index() {
            shares[control] = 1.0 - shares.iter().sum::<f64>();
        }
        shares
    }

    /// What each arm but the control has of the hash space; the rest is the control's. An arm's
    /// range begins where it would if every arm before it had its whole share. So a step of the
    /// ramp moves the end of each range and nothing else, and units only ever change between the
    /// control and one arm.
    pub(crate) fn ranges(&self) -> Vec<Range> {
        let total: u64 = self.arms.iter().map(Arm::share).sum();
        if total == 0 {
            return Vec::new();
        }
        let limit = self.ramp.as_ref().map_or(SPACE, |ramp| SPACE * u128::from(ramp.at) / 100);
        let at = |shares: u64| SPACE * u128::from(shares) / u128::from(total);
        let mut before = 0;
        let mut ranges = Vec::new();
        for (index, arm) in self.arms.iter().enumerate() {
            if arm.name == self.control {
                continue;
            }
            let (from, whole) = (at(before), at(before + arm.share()));
            before += arm.share();
            let to = if arm.stopped { from } else { whole.min(from + limit) };
            if to > from {
                ranges.push(Range { from, to, arm: index });
            }
        }
        ranges
    }
}
