//! `/v1/experiments`.

use std::collections::BTreeMap;

use plugrank_experiments::Experiment;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The experiments in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExperimentList {
    /// How often they were written; 0 when there never was one.
    pub revision: u64,
    /// Layers. A user takes part in at most one experiment of a layer.
    #[schema(value_type = Vec<Object>)]
    pub layers: Vec<Value>,
    /// Experiments.
    pub experiments: Vec<ExperimentView>,
}

/// An experiment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExperimentView {
    /// Its name.
    pub name: String,
    /// Its definition, as it was written with defaults filled in.
    #[schema(value_type = Object)]
    pub definition: Value,
    /// Share of the experiment's units each arm gets at the present step of its ramp.
    pub shares: BTreeMap<String, f64>,
}

impl ExperimentView {
    pub(crate) fn new(experiment: &Experiment) -> Self {
        let names = experiment.arms.iter().map(|arm| arm.name.clone());
        Self {
            name: experiment.name.clone(),
            definition: json!(experiment),
            shares: names.zip(experiment.shares()).collect(),
        }
    }
}
