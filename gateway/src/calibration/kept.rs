//! What the calibration watch has counted of each arm, kept in the store, so that every gateway has it in results.

use std::{collections::BTreeMap, sync::Arc};

use plugrank_contract::TimestampMs;
use plugrank_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Since when an experiment runs; nothing where there is none of the name.
pub(crate) type Began = Box<dyn Fn(&str) -> Option<TimestampMs> + Send + Sync>;

/// The document that has it.
const DOCUMENT: &str = "calibration-arms";

/// Predicted against observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// Items that were seen.
    items: u64,
    /// Sum of their probabilities.
    predicted: f64,
    /// How many of them users acted on.
    observed: f64,
}

impl Sums {
    pub(super) fn add(&mut self, predicted: f64, observed: f64) {
        self.items += 1;
        self.predicted += predicted;
        self.observed += observed;
    }

    fn join(&mut self, other: Self) {
        self.items += other.items;
        self.predicted += other.predicted;
        self.observed += other.observed;
    }
}

type ByTask = BTreeMap<String, Sums>;
type ByArm = BTreeMap<String, ByTask>;

/// Sums by experiment, arm and task.
pub(super) type ByExperiment = BTreeMap<String, ByArm>;

/// What is kept of an experiment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// Since when it is counted.
    since: TimestampMs,
    arms: ByArm,
}

/// How far an arm's probabilities are from what users did, by task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ArmCalibration {
    arm: String,
    task: String,
    #[serde(flatten)]
    sums: Sums,
    /// Observed over predicted; 1 for a calibrated model. None where nothing was predicted.
    ratio: Option<f64>,
}

/// Adds what a turn counted from a moment on. An experiment that began anew is counted anew, and one that is gone is
/// forgotten.
pub(super) async fn add(
    store: &Arc<dyn Store>,
    counted: ByExperiment,
    from: TimestampMs,
    began: &Began,
) -> Result<(), StoreError> {
    if counted.is_empty() {
        return Ok(());
    }
    let (mut all, revision) = read(store).await?;
    all.retain(|name, kept| began(name).is_some_and(|began| kept.since >= began));
    for (name, arms) in counted {
        let Some(began) = began(&name) else { continue };
        let since = from.max(began);
        let kept = all.entry(name).or_insert_with(|| Kept { since, arms: ByArm::new() });
        for (arm, tasks) in arms {
            let known = kept.arms.entry(arm).or_default();
            for (task, sums) in tasks {
                known.entry(task).or_default().join(sums);
            }
        }
    }
    let bytes = serde_json::to_vec(&all).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    // Only who holds the lease writes; where two thought so for a moment, the other's turn is the one that counts.
    store.put_document(DOCUMENT, bytes, revision).await.map(drop)
}

/// What is kept of an experiment that began at a moment.
pub(crate) async fn of_experiment(
    store: &Arc<dyn Store>,
    name: &str,
    began: TimestampMs,
) -> Result<Vec<ArmCalibration>, StoreError> {
    let mut all = read(store).await?.0;
    let kept = all.remove(name).filter(|kept| kept.since >= began).unwrap_or_default();
    let rows = kept.arms.into_iter().flat_map(|(arm, tasks)| {
        tasks.into_iter().map(move |(task, sums)| ArmCalibration {
            arm: arm.clone(),
            task,
            ratio: (sums.predicted > 0.0).then(|| sums.observed / sums.predicted),
            sums,
        })
    });
    Ok(rows.collect())
}

async fn read(store: &Arc<dyn Store>) -> Result<(BTreeMap<String, Kept>, u64), StoreError> {
    let Some(document) = store.document(DOCUMENT).await? else { return Ok(Default::default()) };
    // What another version wrote is counted anew.
    Ok((serde_json::from_slice(&document.bytes).unwrap_or_default(), document.revision))
}
