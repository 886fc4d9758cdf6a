//! What an experiment is, and what is wrong with a definition of one.

mod arm;
mod change;
mod check;
mod experiment;
mod follow;
mod history;
mod layer;
mod plan;
mod problems;
mod ramp;
mod shape;
mod target;

use serde::{Deserialize, Serialize};

pub use arm::{Arm, ArmSettings};
pub use experiment::Experiment;
pub(crate) use experiment::Range;
pub use history::DefinitionChange;
pub use layer::{Layer, SLOTS, Slots, UnitKind};
pub use plan::{AnalysisPlan, Guardrail, GuardrailMetric};
pub use problems::{DefinitionProblem, DefinitionProblems};
pub use ramp::Ramp;
pub use target::{Scalar, Target, UserCondition};

/// Every layer and experiment there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Definitions {
    /// Layers: an experiment belongs to one.
    pub layers: Vec<Layer>,
    /// Experiments.
    pub experiments: Vec<Experiment>,
}

impl Definitions {
    /// Reads and checks a TOML document.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_toml(text: &str) -> Result<Self, DefinitionProblems> {
        let document = toml::from_str(text)
            .map_err(|error| DefinitionProblems::one("", format!("is not TOML: {error}")))?;
        Self::from_json(document)
    }

    /// Reads and checks a JSON document.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn from_json(document: serde_json::Value) -> Result<Self, DefinitionProblems> {
        let (definitions, shape) = shape::read::<Self>(document);
        let meaning = check::check(&definitions);
        DefinitionProblems::none_of(shape.and(meaning)).map(|()| definitions)
    }

    /// The experiment of this name.
    #[must_use]
    pub fn experiment(&self, name: &str) -> Option<&Experiment> {
        self.experiments.iter().find(|experiment| experiment.name == name)
    }

    /// Whether these may take the place of `running` while its experiments go on. A unit may move
    /// between an arm and the control, or in and out of an experiment, but not from one arm to
    /// another: its outcomes would belong to neither.
    ///
    /// # Errors
    /// Each experiment that would move units between its arms.
    pub fn may_follow(&self, running: &Self) -> Result<(), DefinitionProblems> {
        DefinitionProblems::none_of(change::check(running, self))
    }
}
