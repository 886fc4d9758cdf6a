//! Experiments: who gets which arm, and the results.
//!
//! - [`Definitions`] are layers and experiments, read from TOML or JSON; [`DefinitionProblems`] are all that
//!   is wrong with them.
//! - [`Assigner`] gives a unit its arms: deterministic, salted, without memory.
//! - [`statistics`] are the results: moments that merge, ratio metrics, CUPED, fixed-horizon and
//!   always-valid inference, the sample-ratio check, guardrails, power.
//! - [`counterfactual`] estimates what another policy would have been worth, before it is tested.
//!
//! Nothing here reads a file, a clock or a network.

mod assignment;
pub mod automatic;
pub mod counterfactual;
mod definition;
pub mod statistics;

pub use assignment::{Assigner, Assignment, ForcedError, Subject, SubjectFeature, UserFeatures};
pub use definition::{
    AnalysisPlan, Arm, ArmSettings, DefinitionChange, DefinitionProblem, DefinitionProblems,
    Definitions, Experiment, Guardrail, GuardrailMetric, Layer, Ramp, SLOTS, Scalar, Slots, Target,
    UnitKind, UserCondition,
};
