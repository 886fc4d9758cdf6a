//! What came of an experiment so far.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use plugrank_contract::TimestampMs;
use plugrank_experiments::{
    AnalysisPlan, DefinitionChange, Experiment, UnitKind,
    statistics::{Results, ResultsOptions, results},
};
use plugrank_store::Store;
use serde::Serialize;

use super::{
    Running,
    tally::{Design, Tally, TallyError},
};

/// How long a look may take before it is told to come again: what it counted meanwhile is kept.
const TIME: Duration = Duration::from_secs(10);
/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;

/// The results of an experiment since its shares changed last.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) experiment: String,
    /// Since when is counted, in milliseconds since 1970.
    pub(crate) from: TimestampMs,
    /// Up to when.
    pub(crate) to: TimestampMs,
    /// The days between.
    pub(crate) days: f64,
    /// What was planned.
    pub(crate) plan: AnalysisPlan,
    /// What became of it.
    pub(crate) history: Vec<DefinitionChange>,
    #[serde(flatten)]
    pub(crate) results: Results,
}

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResultsError {
    #[error("there is no such experiment")]
    Unknown,
    #[error("all of its arms but the control are stopped")]
    OneArm,
    #[error("the log is still being counted")]
    Counting,
    #[error(transparent)]
    Tally(#[from] TallyError),
}

/// The experiments that were counted, and how far.
#[derive(Default)]
pub(crate) struct Tallies(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Tally>>>>>);

impl Tallies {
    /// The results of an experiment at a moment.
    pub(crate) async fn results(
        &self,
        running: &Running,
        store: &Arc<dyn Store>,
        tasks: &[String],
        (name, now): (&str, TimestampMs),
    ) -> Result<Found, ResultsError> {
        let definitions = running.definitions();
        let experiment = definitions.experiment(name).ok_or(ResultsError::Unknown)?;
        let layer = definitions.layers.iter().find(|layer| layer.name == experiment.layer);
        let unit = layer.map_or(UnitKind::User, |layer| layer.unit);
        let design = Design::new(experiment, unit, tasks);
        let tally = {
            let mut all = self.0.lock();
            all.retain(|name, _| definitions.experiment(name).is_some());
            Arc::clone(all.entry(name.to_owned()).or_default())
        };
        let counting = async {
            let mut tally = tally.lock().await;
            let tally = tally.get_or_insert_with(|| Tally::new(design.clone()));
            if tally.design != design {
                *tally = Tally::new(design.clone());
            }
            tally.count(store, now).await
        };
        let counted = tokio::time::timeout(TIME, counting).await;
        let collected = counted.map_err(|_| ResultsError::Counting)??;
        let days = (now - design.from).max(0) as f64 / DAY_MS;
        let found = results(&collected, &options(experiment, days)).ok_or(ResultsError::OneArm)?;
        Ok(Found {
            experiment: name.to_owned(),
            from: design.from,
            to: now,
            days,
            plan: experiment.plan.clone(),
            history: experiment.history.clone(),
            results: found,
        })
    }
}

fn options(experiment: &Experiment, days: f64) -> ResultsOptions {
    ResultsOptions {
        control: experiment.control_index().unwrap_or(0),
        shares: experiment.shares(),
        plan: experiment.plan.clone(),
        guardrails: experiment.guardrails.clone(),
        one_look: false,
        days: Some(days),
    }
}
