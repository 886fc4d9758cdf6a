//! How the service is run.

use std::time::Duration;

/// How the embedding service is run.
#[derive(Clone, Debug)]
pub struct EmbeddingOptions {
    /// Bytes of the in-process tier: item records, missing records and user states together.
    pub memory_bytes: u64,
    /// Share of them for user states, above 0 and below 1.
    pub user_state_share: f64,
    /// Whether a call waits while items that are cached nowhere are encoded. Otherwise they are
    /// encoded behind it, and it gets missing records.
    pub encode_on_miss: bool,
    /// Items that go through the encoders at a time.
    pub encode_batch: usize,
    /// Batches that are encoded at a time, each on its own thread.
    pub encode_threads: usize,
    /// Most items that a call with a deadline waits for; the rest are encoded behind it.
    pub max_encoded_per_call: usize,
    /// Items that may wait to be encoded, for waiting calls and behind them each; more are not
    /// taken on, and are encoded when they are asked for again.
    pub encode_queue: usize,
    /// Items whose records may wait to be written to the store; more are not written, and are
    /// encoded again by the next process.
    pub write_back_queue: usize,
    /// Part of a call's remaining time kept for the way back, so that its answer comes in time.
    pub answer_margin: Duration,
    /// User-encoder rows (history entries) at which a batch closes.
    pub user_batch_rows: usize,
    /// Users per user-encoder batch that shapes are padded to, ascending.
    pub user_buckets: Vec<usize>,
    /// Threads that run the user encoder.
    pub user_threads: usize,
    /// Longest a user-encoder batch waits for company.
    pub user_batch_wait: Duration,
}

impl Default for EmbeddingOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            user_state_share: 0.25,
            encode_on_miss: true,
            encode_batch: 16,
            encode_threads: 1,
            max_encoded_per_call: 64,
            encode_queue: 4096,
            write_back_queue: 4096,
            answer_margin: Duration::from_millis(1),
            user_batch_rows: 1024,
            user_buckets: vec![1, 2, 4, 8],
            user_threads: 1,
            user_batch_wait: Duration::from_micros(500),
        }
    }
}

impl EmbeddingOptions {
    /// Checks the values.
    ///
    /// # Errors
    /// The name of the option and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let at_least_one = [
            ("encode_batch", self.encode_batch),
            ("encode_threads", self.encode_threads),
            ("encode_queue", self.encode_queue),
            ("write_back_queue", self.write_back_queue),
            ("user_threads", self.user_threads),
        ];
        for (name, value) in at_least_one {
            if value == 0 {
                return Err(format!("embedding option {name} must be at least 1, got 0"));
            }
        }
        if !(self.user_state_share > 0.0 && self.user_state_share < 1.0) {
            return Err(format!(
                "embedding option user_state_share must lie between 0 and 1, got {}",
                self.user_state_share
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::EmbeddingOptions;

    #[test]
    fn the_defaults_can_be_run_and_zero_threads_cannot() {
        EmbeddingOptions::default().validate().unwrap();
        let none = EmbeddingOptions { encode_threads: 0, ..EmbeddingOptions::default() };
        assert!(none.validate().unwrap_err().contains("encode_threads"));
        let all = EmbeddingOptions { user_state_share: 1.0, ..EmbeddingOptions::default() };
        assert!(all.validate().unwrap_err().contains("user_state_share"));
    }
}
