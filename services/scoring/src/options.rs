//! How the service is run.

use std::time::Duration;

/// How the scoring service is run.
#[derive(Clone, Debug)]
pub struct ScoringOptions {
    /// Threads that run batches, each with graphs of its own.
    pub workers: usize,
    /// Candidate rows at which a batch closes.
    pub batch_rows: usize,
    /// Maximum time a batch waits for more rows while a worker is idle.
    pub batch_wait: Duration,
    /// Candidates per user that shapes are padded to, ascending.
    pub candidate_buckets: Vec<usize>,
    /// Users per batch that shapes are padded to, ascending.
    pub user_buckets: Vec<usize>,
    /// Most candidates one call may name.
    pub max_candidates: usize,
    /// Longest predicted run that is made on the caller's own thread when all models are idle,
    /// so that nothing is handed from thread to thread; zero: never.
    pub run_in_place: Duration,
    /// Part of a call's remaining time kept for the way back.
    pub answer_margin: Duration,
}

impl Default for ScoringOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            batch_rows: 2048,
            batch_wait: Duration::ZERO,
            candidate_buckets: vec![10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000],
            user_buckets: vec![1, 2, 4, 8],
            max_candidates: 100_000,
            run_in_place: Duration::ZERO,
            answer_margin: Duration::from_micros(500),
        }
    }
}

impl ScoringOptions {
    /// Checks the values that the batcher does not check itself.
    ///
    /// # Errors
    /// The name of the option and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value) in [("workers", self.workers), ("max_candidates", self.max_candidates)] {
            if value == 0 {
                return Err(format!("scoring option {name} must be at least 1, got 0"));
            }
        }
        Ok(())
    }
}
