//! What an arm changes for its requests, checked when a definition is written.

use std::str::FromStr;

use plugrank_budget::Rung;
use plugrank_experiments::{Arm, Definitions};

use crate::problem::FieldError;

/// What an arm changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArmChange {
    /// The rung to serve at, at the highest.
    pub(crate) rung: Option<Rung>,
    /// Version of the model.
    pub(crate) model: Option<String>,
}

impl ArmChange {
    /// Of an arm whose settings were checked.
    pub(crate) fn from_arm(arm: &Arm) -> Self {
        let rung = arm.settings.rung.as_deref().and_then(|rung| Rung::from_str(rung).ok());
        Self { rung, model: arm.settings.bundle.clone() }
    }

    /// With what an arm of another layer changes. Where both change the same, the lower rung and the
    /// first model hold.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { rung: self.rung.max(other.rung), model: self.model.or(other.model) }
    }
}

/// What is wrong with the settings of arms.
pub(crate) fn check(definitions: &Definitions) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (at, experiment) in definitions.experiments.iter().enumerate() {
        for (number, arm) in experiment.arms.iter().enumerate() {
            let mut wrong = |key: &str, detail: String| {
                let field = format!("experiments[{at}].arms[{number}].settings.{key}");
                errors.push(FieldError::new(field, detail));
            };
            let settings = &arm.settings;
            if let Some(rung) = &settings.rung
                && let Err(error) = Rung::from_str(rung)
            {
                wrong("rung", error.to_string());
            }
            if let Some(key) = settings.surface.keys().next() {
                wrong(
                    "surface",
                    format!("{key:?} cannot be changed by an arm; `rung` and `bundle` can"),
                );
            }
            if settings.rules.is_some() {
                wrong("rules", "cannot be changed by an arm; `rung` and `bundle` can".to_owned());
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_layers_the_lower_rung_holds() {
        let change =
            |rung, model: Option<&str>| ArmChange { rung, model: model.map(str::to_owned) };
        let both = change(Some(Rung::Idrec), None).and(change(Some(Rung::Full), Some("b")));
        assert_eq!(both, change(Some(Rung::Idrec), Some("b")));
        assert_eq!(change(None, Some("a")).and(change(None, Some("b"))), change(None, Some("a")));
    }
}
