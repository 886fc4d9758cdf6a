//! Why an entry got no answer.

/// Why an entry got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Its deadline passed before it ran.
    #[error("the deadline passed before a batch had room")]
    Expired,
    /// It could not be run, alone or with others.
    #[error("the model did not run: {0}")]
    Failed(String),
    /// The batcher stopped.
    #[error("the batcher stopped")]
    Stopped,
    /// The entry is larger than any shape.
    #[error("an entry of {got} {what} is larger than the largest shape, {largest}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there was.
        got: usize,
        /// How much there may be.
        largest: usize,
    },
}
