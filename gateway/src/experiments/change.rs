//! What an arm changes for its requests, checked when a definition is written.

use std::str::FromStr;

use plugrank_budget::Rung;
use plugrank_experiments::{Arm, Definitions, Experiment};

use crate::{problem::FieldError, surface::Surfaces};

/// What an arm changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArmChange {
    /// The rung to serve at, at the highest.
    pub(crate) rung: Option<Rung>,
    /// Version of the model.
    pub(crate) model: Option<String>,
    /// The surface that serves in place of the one asked for.
    pub(crate) surface: Option<String>,
}

impl ArmChange {
    /// Of an arm whose settings were checked.
    pub(crate) fn from_arm(arm: &Arm) -> Self {
        let rung = arm.settings.rung.as_deref().and_then(|rung| Rung::from_str(rung).ok());
        let settings = &arm.settings;
        Self { rung, model: settings.bundle.clone(), surface: settings.surface.clone() }
    }

    /// With what an arm of another layer changes. Where both change the same, the lower rung and the
    /// first model and surface hold.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            rung: self.rung.max(other.rung),
            model: self.model.or(other.model),
            surface: self.surface.or(other.surface),
        }
    }
}

/// What is wrong with the surfaces that the arms of an experiment name.
pub(crate) fn check_surfaces(experiment: &Experiment, surfaces: &Surfaces) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (number, arm) in experiment.arms.iter().enumerate() {
        let Some(surface) = &arm.settings.surface else { continue };
        if let Err(unknown) = surfaces.get(Some(surface)) {
            let field = format!("arms[{number}].settings.surface");
            errors.push(FieldError::new(field, unknown));
        }
    }
    errors
}

/// What is wrong with the settings of arms, whatever the settings of the server.
pub(crate) fn check(definitions: &Definitions) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (at, experiment) in definitions.experiments.iter().enumerate() {
        for (number, arm) in experiment.arms.iter().enumerate() {
            if let Some(rung) = &arm.settings.rung
                && let Err(error) = Rung::from_str(rung)
            {
                let field = format!("experiments[{at}].arms[{number}].settings.rung");
                errors.push(FieldError::new(field, error.to_string()));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_rung_of_two_layers_wins() {
        let change = |rung, model: Option<&str>| ArmChange {
            rung,
            model: model.map(str::to_owned),
            surface: None,
        };
        let both = change(Some(Rung::Idrec), None).and(change(Some(Rung::Full), Some("b")));
        assert_eq!(both, change(Some(Rung::Idrec), Some("b")));
        assert_eq!(change(None, Some("a")).and(change(None, Some("b"))), change(None, Some("a")));
    }
}
