//! Why the service could not be built.

use plugrank_bundle::{BundleError, GraphName};
use plugrank_inference::batcher::{BatcherStartError, BucketError, GraphModelError};

/// Why the service could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ScoringError {
    /// An option has an impossible value.
    #[error("scoring options: {0}")]
    Option(String),
    /// A formula of values cannot be used.
    #[error("{setting}: {why}")]
    Value {
        /// The setting that has it.
        setting: String,
        /// What is wrong.
        why: String,
    },
    /// The bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A graph reads what cannot be given to it.
    #[error("graph `{graph}`: source `{input}` names nothing that the bundle has")]
    Source {
        /// Which graph.
        graph: GraphName,
        /// Which source.
        input: String,
    },
    /// A graph does not answer logits.
    #[error("graph `{graph}` must have one output a task, f32 [users, candidates]; it has {found}")]
    Logit {
        /// Which graph.
        graph: GraphName,
        /// What it has.
        found: String,
    },
    /// A graph could not be loaded.
    #[error(transparent)]
    Graph(#[from] GraphModelError),
    /// The shapes are impossible.
    #[error("scoring options: {0}")]
    Buckets(#[from] BucketError),
    /// A graph could not be started.
    #[error(transparent)]
    Start(#[from] BatcherStartError),
}
