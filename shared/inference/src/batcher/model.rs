//! What a batcher runs.

use plugrank_contract::Deadline;

use super::shape::{Dims, Shape};

/// An entry to run.
#[derive(Debug)]
pub struct Entry<I> {
    /// Its size.
    pub dims: Dims,
    /// What the model reads.
    pub input: I,
}

/// Why no entry of a batch has an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// Why.
    pub message: String,
    /// Whether the entries may run when each is tried alone, since one of them can be what failed
    /// the run.
    pub separable: bool,
}

impl RunError {
    /// A failure that one of the entries may have caused.
    #[must_use]
    pub fn of_an_entry(message: impl Into<String>) -> Self {
        Self { message: message.into(), separable: true }
    }

    /// A failure that every entry would meet alone as well.
    #[must_use]
    pub fn of_the_model(message: impl Into<String>) -> Self {
        Self { message: message.into(), separable: false }
    }
}

/// A model that runs entries of several callers as one padded batch. Synchronous, and used by one
/// thread at a time; everything asynchronous is outside.
pub trait BatchModel: Send + 'static {
    /// What one entry brings.
    type Input: Send + 'static;
    /// What one entry gets.
    type Output: Send + 'static;

    /// Runs `entries` padded to `shape` (at most `shape.users` of them, none larger than it). Adds
    /// one answer an entry to `answers` (empty before), in their order, padding cut off; an entry
    /// that is wrong by itself gets an error there, and the others run. After `deadline`, if there
    /// is one, no call waits any more.
    ///
    /// # Errors
    /// Why the run failed. Where an entry may be the reason, each is then tried alone.
    fn run(
        &mut self,
        shape: Shape,
        entries: &[Entry<Self::Input>],
        deadline: Deadline,
        answers: &mut Vec<Result<Self::Output, String>>,
    ) -> Result<(), RunError>;

    /// Runs a batch of padding alone, so that `shape` costs its usual time from then on.
    ///
    /// # Errors
    /// Why the run failed.
    fn warm(&mut self, shape: Shape) -> Result<(), String>;

    /// Whether a run only computes. One that waits for another machine never runs on a caller's
    /// thread.
    fn only_computes(&self) -> bool {
        true
    }

    /// Whether the thread that runs it does all of the work: no GPU, and no threads of the graph's own.
    fn computes_here(&self) -> bool {
        false
    }
}
