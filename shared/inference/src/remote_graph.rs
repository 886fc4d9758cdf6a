//! A graph that another server runs.

use plugrank_contract::Deadline;

use crate::{InferenceError, Tensor};

/// A graph that another server runs. Many runs at a time.
pub trait RemoteGraph: Send + Sync + 'static {
    /// Whether a run makes sense now.
    ///
    /// # Errors
    /// [`InferenceError::Remote`] with the reason while the server is known to be unavailable.
    fn available(&self) -> Result<(), InferenceError>;

    /// Runs the graph on named inputs and waits for the outputs, which come in the order of the
    /// bundle's manifest. Blocks, until `deadline` at most.
    ///
    /// # Errors
    /// [`InferenceError::Remote`] when the server cannot be reached, is too late, or answers
    /// something else.
    fn run(
        &self,
        inputs: &[(&str, &Tensor)],
        deadline: Deadline,
    ) -> Result<Vec<Tensor>, InferenceError>;
}
