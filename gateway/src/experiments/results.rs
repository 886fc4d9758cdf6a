//! What came of an experiment so far.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use plugrank_contract::TimestampMs;
use plugrank_experiments::{
    AnalysisPlan, DefinitionChange, Experiment, UnitKind,
    statistics::{Interval, MetricResult, Results, ResultsOptions, results},
};
use plugrank_store::Store;
use serde::Serialize;

use super::{
    Running,
    tally::{Design, Tally, TallyError},
};
use crate::calibration::kept::{self, ArmCalibration};

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
    /// What happened to it.
    pub(crate) history: Vec<DefinitionChange>,
    #[serde(flatten)]
    pub(crate) results: Results,
    /// What each arm predicted against what users did, as far as the calibration watch has counted.
    pub(crate) calibration: Vec<ArmCalibration>,
    /// The lifts as they were at earlier looks, oldest first, and as they are.
    pub(crate) over_time: Vec<LiftsAt>,
}

/// The lifts of an experiment at a moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LiftsAt {
    /// The moment, in milliseconds since 1970.
    at: TimestampMs,
    /// Units so far.
    units: u64,
    /// By metric and arm; none where they were hidden.
    lifts: Vec<LiftAt>,
}

/// The lift of an arm by a metric, adjusted where that is possible.
#[derive(Clone, Debug, Serialize)]
struct LiftAt {
    metric: String,
    arm: String,
    /// None where the control's metric is not above 0, as its interval.
    lift: Option<f64>,
    /// What stays valid at every look.
    interval: Option<Interval>,
}

impl LiftsAt {
    fn new(at: TimestampMs, results: &Results) -> Self {
        let lift = |one: &MetricResult| {
            let compared = one.cuped.as_ref().unwrap_or(&one.plain);
            LiftAt {
                metric: one.metric.clone(),
                arm: one.arm.clone(),
                lift: compared.lift,
                interval: compared.always_valid_lift_interval,
            }
        };
        Self {
            at,
            units: results.arms.iter().map(|arm| arm.units).sum(),
            lifts: results.metrics.iter().map(lift).collect(),
        }
    }
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

/// Whose results, and which.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The experiment.
    pub(crate) name: &'a str,
    pub(crate) now: TimestampMs,
    /// Whether to work out the lifts of earlier looks too, and calibration.
    pub(crate) over_time: bool,
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
        Asked { name, now, over_time }: Asked<'_>,
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
            let collected = tally.count(store, now).await?;
            let looks = if over_time { tally.looks().to_vec() } else { Vec::new() };
            Ok::<_, TallyError>((collected, looks))
        };
        let counted = tokio::time::timeout(TIME, counting).await;
        let (collected, looks) = counted.map_err(|_| ResultsError::Counting)??;
        let calibration = match over_time {
            true => {
                kept::of_experiment(store, name, design.began).await.map_err(TallyError::from)?
            }
            false => Vec::new(),
        };
        let days = |until: TimestampMs| (until - design.from).max(0) as f64 / DAY_MS;
        let options = |until| options(experiment, days(until));
        let found = results(&collected, &options(now)).ok_or(ResultsError::OneArm)?;
        let mut course: Vec<LiftsAt> = looks
            .iter()
            .filter_map(|look| {
                let found = results(&look.collected, &options(look.at))?;
                Some(LiftsAt::new(look.at, &found))
            })
            .collect();
        if over_time {
            course.push(LiftsAt::new(now, &found));
        }
        Ok(Found {
            experiment: name.to_owned(),
            from: design.from,
            to: now,
            days: days(now),
            plan: experiment.plan.clone(),
            history: experiment.history.clone(),
            results: found,
            calibration,
            over_time: course,
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
