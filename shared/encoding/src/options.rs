//! How encoding is run.

use std::time::Duration;

/// How encoding is run.
#[derive(Clone, Debug)]
pub struct EncodingOptions {
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
    /// Maximum time a user-encoder batch waits for more rows.
    pub user_batch_wait: Duration,
}

impl Default for EncodingOptions {
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

impl EncodingOptions {
    /// Bytes for user states.
    pub(crate) fn user_state_bytes(&self) -> u64 {
        (self.memory_bytes as f64 * self.user_state_share) as u64
    }

    /// Bytes for item records, and for missing records: a sixteenth of what user states leave.
    pub(crate) fn record_bytes(&self) -> (u64, u64) {
        let bytes = self.memory_bytes.saturating_sub(self.user_state_bytes());
        let for_missing = bytes / 16;
        (bytes - for_missing, for_missing)
    }

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
                return Err(format!("encoding option {name} must be at least 1, got 0"));
            }
        }
        if !(self.user_state_share > 0.0 && self.user_state_share < 1.0) {
            return Err(format!(
                "encoding option user_state_share must lie between 0 and 1, got {}",
                self.user_state_share
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::EncodingOptions;

    #[test]
    fn the_defaults_can_be_run_and_zero_threads_cannot() {
        EncodingOptions::default().validate().unwrap();
        let none = EncodingOptions { encode_threads: 0, ..EncodingOptions::default() };
        assert!(none.validate().unwrap_err().contains("encode_threads"));
        let all = EncodingOptions { user_state_share: 1.0, ..EncodingOptions::default() };
        assert!(all.validate().unwrap_err().contains("user_state_share"));
    }
}
