//! Why records and states could not be encoded.

use plugrank_bundle::{BundleError, GraphName, InputSource};
use plugrank_contract::CallError;
use plugrank_inference::{
    InferenceError, LookupError,
    batcher::{BatcherStartError, BucketError, GraphModelError},
};
use plugrank_store::StoreError;

/// Why encoding could not be set up, or could not be done.
#[derive(Debug, thiserror::Error)]
pub enum EncodingError {
    /// An option has an impossible value.
    #[error("encoding options: {0}")]
    Option(String),
    /// The bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle lacks a graph.
    #[error("the bundle has no graph `{0}`")]
    NoGraph(GraphName),
    /// A graph reads what cannot be given to it.
    #[error("graph `{graph}`: source `{input}` names nothing that the bundle has")]
    Source {
        /// Which graph.
        graph: GraphName,
        /// Which source.
        input: String,
    },
    /// The item encoder lacks an output of the manifest.
    #[error("graph `item_encoder` has no output `{0}`, which the manifest names")]
    Output(String),
    /// A user-encoder output cannot be cached.
    #[error("graph `user_encoder`: output `{0}` is i64; a user state holds f16 or f32")]
    UserOutput(String),
    /// A graph could not be loaded or run.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// A graph cannot look up what it is given.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The user encoder could not be loaded.
    #[error(transparent)]
    Graph(#[from] GraphModelError),
    /// The user encoder's shapes are impossible.
    #[error("user encoder: {0}")]
    Buckets(#[from] BucketError),
    /// The user encoder could not be started.
    #[error("user encoder: {0}")]
    Start(#[from] BatcherStartError),
    /// Encoding failed.
    #[error("encoding failed: {0}")]
    Encode(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no asynchronous runtime to start background work on.
    #[error("encoding has to be set up inside a tokio runtime")]
    NoRuntime,
}

impl EncodingError {
    pub(crate) fn source(graph: GraphName, source: &InputSource) -> Self {
        Self::Source { graph, input: source.to_string() }
    }
}

impl From<EncodingError> for CallError {
    fn from(error: EncodingError) -> Self {
        match error {
            EncodingError::Store(error) => Self::unavailable(error.to_string()),
            other => Self::internal(other.to_string()),
        }
    }
}
