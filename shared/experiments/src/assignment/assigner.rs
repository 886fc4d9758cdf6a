//! Finding a subject's arms.

use std::collections::{BTreeMap, HashMap};

use thiserror::Error;

use super::{Subject, hash};
use crate::definition::{Arm, Definitions, Experiment, Layer, Range, SLOTS, UnitKind};

/// Finds arms by definitions that were checked, with what depends on them alone worked out.
#[derive(Clone, Debug)]
pub struct Assigner {
    definitions: Definitions,
    /// For each layer its experiments.
    layers: Vec<Vec<Dealt>>,
}

/// An experiment of a layer.
#[derive(Clone, Debug)]
struct Dealt {
    /// Place among the definitions' experiments.
    experiment: usize,
    control: usize,
    ranges: Vec<Range>,
    forced: HashMap<String, usize>,
}

/// The arm a subject got in one layer.
#[derive(Clone, Copy, Debug)]
pub struct Assignment<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The arm.
    pub arm: &'a Arm,
    /// Given by name instead of by the hash. Such exposures are left out of results.
    pub forced: bool,
}

/// Why arms asked for by name cannot be given.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ForcedError {
    /// No such experiment.
    #[error("there is no experiment `{0}`")]
    Experiment(String),
    /// No such arm.
    #[error("the experiment `{experiment}` has no arm `{arm}`")]
    Arm {
        /// The experiment.
        experiment: String,
        /// The arm that it does not have.
        arm: String,
    },
    /// One layer, two experiments.
    #[error("`{0}` and `{1}` are experiments of one layer, a request takes part in one of them")]
    Exclusive(String, String),
}

impl Assigner {
    /// Prepares definitions, which come checked from their reading.
    #[must_use]
    pub fn new(definitions: Definitions) -> Self {
        let dealt = |(index, experiment): (usize, &Experiment)| {
            let forced = experiment
                .arms
                .iter()
                .enumerate()
                .flat_map(|(arm, one)| one.forced.iter().map(move |user| (user.clone(), arm)));
            Some(Dealt {
                experiment: index,
                control: experiment.control_index()?,
                ranges: experiment.ranges(),
                forced: forced.collect(),
            })
        };
        let experiments = |layer: &Layer| {
            let all = definitions.experiments.iter().enumerate();
            all.filter(|(_, one)| one.layer == layer.name).filter_map(dealt).collect()
        };
        let layers = definitions.layers.iter().map(experiments).collect();
        Self { definitions, layers }
    }

    /// The definitions.
    #[must_use]
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// The subject's arm in each layer where it takes part in an experiment.
    #[must_use]
    pub fn assign(&self, subject: &Subject<'_>) -> Vec<Assignment<'_>> {
        self.layers.iter().enumerate().filter_map(|(layer, _)| self.deal(layer, subject)).collect()
    }

    /// As [`Self::assign`], with arms of experiments that the caller names: they replace whatever
    /// the subject would get in their layers.
    ///
    /// # Errors
    /// Names that are not defined, and two experiments of one layer.
    pub fn assign_forced(
        &self,
        subject: &Subject<'_>,
        arms: &BTreeMap<String, String>,
    ) -> Result<Vec<Assignment<'_>>, ForcedError> {
        let mut wanted: Vec<Option<(usize, usize)>> = vec![None; self.layers.len()];
        for (name, arm) in arms {
            let (layer, index) =
                self.find(name).ok_or_else(|| ForcedError::Experiment(name.clone()))?;
            let experiment = &self.definitions.experiments[index];
            let place =
                experiment.arms.iter().position(|one| one.name == *arm).ok_or_else(|| {
                    ForcedError::Arm { experiment: name.clone(), arm: arm.clone() }
                })?;
            if let Some((other, _)) = wanted[layer] {
                let other = self.definitions.experiments[other].name.clone();
                return Err(ForcedError::Exclusive(other, name.clone()));
            }
            wanted[layer] = Some((index, place));
        }
        let of_layer = |(layer, wanted): (usize, &Option<(usize, usize)>)| match *wanted {
            Some((experiment, arm)) => Some(self.assignment(layer, experiment, arm, true)),
            None => self.deal(layer, subject),
        };
        Ok(wanted.iter().enumerate().filter_map(of_layer).collect())
    }

    /// Layer and place of an experiment.
    fn find(&self, name: &str) -> Option<(usize, usize)> {
        self.layers.iter().enumerate().find_map(|(layer, experiments)| {
            let named = |one: &&Dealt| self.definitions.experiments[one.experiment].name == name;
            experiments.iter().find(named).map(|one| (layer, one.experiment))
        })
    }

    fn deal(&self, layer: usize, subject: &Subject<'_>) -> Option<Assignment<'_>> {
        let experiments = &self.layers[layer];
        for dealt in experiments {
            if let Some(arm) = dealt.forced.get(subject.user_id) {
                return Some(self.assignment(layer, dealt.experiment, *arm, true));
            }
        }
        if experiments.is_empty() {
            return None;
        }
        let definition = &self.definitions.layers[layer];
        let unit = match definition.unit {
            UnitKind::User => subject.user_id,
            UnitKind::Request => subject.request_id,
        };
        let slot = hash::below(hash::hash("slot", &[definition.salt(), unit]), SLOTS);
        let dealt = experiments
            .iter()
            .find(|one| self.definitions.experiments[one.experiment].slots.has(slot))?;
        let experiment = &self.definitions.experiments[dealt.experiment];
        if !experiment.target.matches(subject) {
            return None;
        }
        let point = hash::hash("arm", &[definition.salt(), experiment.salt(), unit]);
        let range = dealt.ranges.iter().find(|range| range.has(point));
        let arm = range.map_or(dealt.control, |range| range.arm);
        Some(self.assignment(layer, dealt.experiment, arm, false))
    }

    fn assignment(
        &self,
        layer: usize,
        experiment: usize,
        arm: usize,
        forced: bool,
    ) -> Assignment<'_> {
        let layer = &self.definitions.layers[layer];
        let experiment = &self.definitions.experiments[experiment];
        Assignment { layer, experiment, arm: &experiment.arms[arm], forced }
    }
}
