//! Why retrieval cannot be built or kept up to date.

use plugrank_contract::CallError;
use plugrank_store::StoreError;

/// Retrieval could not be built, or an item could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum RetrievalError {
    /// A setting is impossible.
    #[error("retrieval setting `{field}`: {problem}")]
    Options {
        /// Dotted name of the setting.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The store did not answer.
    #[error("retrieval cannot read the catalog: {0}")]
    Store(#[from] StoreError),
    /// The embedding service did not give item vectors.
    #[error("retrieval cannot fetch item vectors: {0}")]
    Vectors(CallError),
    /// The index of vectors refused.
    #[error("the index of item vectors: {0}")]
    Index(String),
    /// The vector engine did not answer, or refused.
    #[error("the vector engine: {0}")]
    Engine(String),
    /// What retrieval holds could not be saved.
    #[error("a snapshot of retrieval: {0}")]
    Snapshot(String),
}

impl RetrievalError {
    /// What the vector engine's servers answered.
    #[must_use]
    pub fn engine(error: StoreError) -> Self {
        let (StoreError::Unavailable(why) | StoreError::Corrupt(why)) = error;
        Self::Engine(why)
    }
}

impl From<RetrievalError> for CallError {
    fn from(error: RetrievalError) -> Self {
        let message = error.to_string();
        match error {
            RetrievalError::Options { .. } => Self::invalid(message),
            RetrievalError::Store(StoreError::Unavailable(_)) | RetrievalError::Engine(_) => {
                Self::unavailable(message)
            }
            RetrievalError::Vectors(cause) => Self::new(cause.code, message),
            RetrievalError::Store(StoreError::Corrupt(_))
            | RetrievalError::Index(_)
            | RetrievalError::Snapshot(_) => Self::internal(message),
        }
    }
}
