//! Letting an experiment in step by step.

use serde::{Deserialize, Serialize};

/// How far an experiment has been let in. At a step of `p` no arm but the control gets more than
/// `p` percent of the units; what it would get beyond that goes to the control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ramp {
    /// Steps in percent, ascending.
    pub steps: Vec<u8>,
    /// The step in force.
    pub at: u8,
    /// Time at a step after which the server takes the next one, if no guardrail objects, in milliseconds;
    /// without it, steps are taken by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
}

impl Default for Ramp {
    fn default() -> Self {
        Self { steps: vec![1, 5, 25, 50], at: 1, every_ms: None }
    }
}

impl Ramp {
    /// The step after the one in force.
    #[must_use]
    pub fn next(&self) -> Option<u8> {
        self.steps.iter().copied().find(|step| *step > self.at)
    }

    /// The step before the one in force: where a roll-back goes.
    #[must_use]
    pub fn previous(&self) -> Option<u8> {
        self.steps.iter().copied().rev().find(|step| *step < self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramp_steps_lead_up_and_down() {
        let ramp = Ramp { at: 5, ..Ramp::default() };
        assert_eq!((ramp.previous(), ramp.next()), (Some(1), Some(25)));
        assert_eq!(Ramp { at: 50, ..ramp.clone() }.next(), None);
        assert_eq!(Ramp { at: 1, ..ramp }.previous(), None);
    }
}
