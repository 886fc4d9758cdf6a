//! Writing definitions: read, changed, checked, and written if no other write came first.

use std::{fmt, sync::Arc};

use plugrank_contract::TimestampMs;
use plugrank_experiments::{DefinitionProblems, Definitions, Experiment, Layer};
use plugrank_store::{Store, StoreError};

use super::{DOCUMENT, Experiments, change, follow};
use crate::problem::FieldError;

/// Tries before a writer gives way to others.
const TRIES: usize = 5;

/// Why definitions were not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// They are wrong.
    Invalid(Vec<FieldError>),
    /// They would move units of a running experiment from one arm to another.
    Moves(DefinitionProblems),
    /// There is no such experiment.
    Unknown,
    /// Others wrote at the same time, every time.
    Busy,
    /// What is stored is not readable.
    Unreadable(String),
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(errors) => {
                let told = errors.iter().map(|error| format!("{}: {}", error.field, error.detail));
                f.write_str(&told.collect::<Vec<_>>().join("; "))
            }
            Self::Moves(problems) => problems.fmt(f),
            Self::Unknown => f.write_str("there is no such experiment"),
            Self::Busy => f.write_str("others wrote experiments at the same time"),
            Self::Unreadable(detail) => f.write_str(detail),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Experiments {
    /// Changes the definitions; in force here when it returns. Each experiment that is another then has in its
    /// history when that was, and the cause.
    pub(crate) async fn write(
        &self,
        store: &Arc<dyn Store>,
        (now, cause): (TimestampMs, &str),
        change: impl Fn(&mut Definitions) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        for _ in 0..TRIES {
            let document = follow::load(store).await?;
            let (before, revision) = match &document {
                None => (Definitions::default(), 0),
                Some(document) => {
                    let definitions = follow::parse(document).map_err(WriteError::Unreadable)?;
                    (definitions, document.revision)
                }
            };
            let mut after = before.clone();
            change(&mut after)?;
            for experiment in &mut after.experiments {
                let known = before.experiment(&experiment.name);
                experiment.follow(known, now, cause);
            }
            let after = checked(after)?;
            after.may_follow(&before).map_err(WriteError::Moves)?;
            let bytes = serde_json::to_vec(&after)
                .map_err(|error| WriteError::Unreadable(error.to_string()))?;
            if let Some(revision) = store.put_document(DOCUMENT, bytes, revision).await? {
                self.put_into_force(after, revision);
                return Ok(());
            }
        }
        Err(WriteError::Busy)
    }
}

/// Puts an experiment in the place of the one of its name, or beside the others. A layer that does not exist yet deals
/// users.
pub(crate) fn put_experiment(definitions: &mut Definitions, experiment: Experiment) {
    let layer = &experiment.layer;
    if !layer.is_empty() && !definitions.layers.iter().any(|known| known.name == *layer) {
        definitions.layers.push(Layer { name: layer.clone(), ..Layer::default() });
    }
    match definitions.experiments.iter_mut().find(|known| known.name == experiment.name) {
        Some(known) => *known = experiment,
        None => definitions.experiments.push(experiment),
    }
}

fn checked(definitions: Definitions) -> Result<Definitions, WriteError> {
    let json = serde_json::to_value(definitions)
        .map_err(|error| WriteError::Unreadable(error.to_string()))?;
    let definitions = Definitions::from_json(json).map_err(|problems| {
        let error = |problem: &plugrank_experiments::DefinitionProblem| {
            FieldError::new(&problem.path, &problem.message)
        };
        WriteError::Invalid(problems.list().iter().map(error).collect())
    })?;
    let errors = change::check(&definitions);
    if errors.is_empty() { Ok(definitions) } else { Err(WriteError::Invalid(errors)) }
}
