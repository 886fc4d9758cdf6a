//! What a batcher runs.

use tokio::time::Instant;

use super::shape::Shape;

/// A model that runs entries of several callers as one padded batch. Synchronous and owned by one
/// thread; everything asynchronous is outside.
pub trait BatchModel: Send + 'static {
    /// What one entry brings.
    type Input: Send + 'static;
    /// What one entry gets.
    type Output: Send + 'static;

    /// Runs `entries` padded to `shape` (at most `shape.users` of them, none larger than it).
    /// Answers one output an entry, in their order, padding cut off. After `deadline`, if there is
    /// one, nobody waits any more.
    ///
    /// # Errors
    /// Why the run failed; every entry of the batch gets it.
    fn run(
        &mut self,
        shape: Shape,
        entries: &[Self::Input],
        deadline: Option<Instant>,
    ) -> Result<Vec<Self::Output>, String>;

    /// Runs a batch of padding alone, so that `shape` costs its usual time from then on.
    ///
    /// # Errors
    /// Why the run failed.
    fn warm(&mut self, shape: Shape) -> Result<(), String>;
}
