//! How encoding is run: section `[embedding]` of the settings.

use std::time::Duration;

use garde::Validate;
use plugrank_contract::Deadline;
use plugrank_settings::{
    list,
    rules::{ascending, finite},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The embedding service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct EncodingOptions {
    /// In-process tier of item records and user states, in MiB.
    #[garde(range(min = 1, max = 1_048_576))]
    pub memory_mb: usize,
    /// Share of it for user states.
    #[garde(range(min = 0.01, max = 0.99), custom(finite))]
    pub user_state_share: f64,
    /// Whether items whose vectors are cached nowhere are encoded while a request waits. Otherwise
    /// they are encoded in the background, and the request gets missing records.
    #[garde(skip)]
    pub encode_on_miss: bool,
    /// Items that go through the text and image encoders at a time.
    #[garde(range(min = 1, max = 4096))]
    pub encode_batch: usize,
    /// Threads that encode.
    #[garde(range(min = 1, max = 256))]
    pub encode_threads: usize,
    /// Most items a request with a deadline waits for; the rest are encoded in the background.
    #[garde(range(min = 0, max = 100_000))]
    pub encode_per_call: usize,
    /// Items that may wait to be encoded, counted apart for calls that wait and in the background;
    /// further ones are not queued, and are encoded when they are asked for again.
    #[garde(range(min = 1, max = 1_000_000))]
    pub encode_queue: usize,
    /// Records that may wait to be written to the store; more are not written, and are encoded again
    /// by the next process.
    #[garde(range(min = 1, max = 1_000_000))]
    pub write_back_queue: usize,
    /// Threads that run the user encoder.
    #[garde(range(min = 1, max = 256))]
    pub user_threads: usize,
    /// History entries at which a batch of the user encoder closes.
    #[garde(range(min = 1, max = 1_048_576))]
    pub user_batch_rows: usize,
    /// Users per batch that shapes are padded to, ascending, each 1 to 4096.
    #[serde(deserialize_with = "list::numbers")]
    #[garde(custom(ascending(4096)))]
    pub user_buckets: Vec<usize>,
    /// Maximum time a batch of the user encoder waits for more rows, in microseconds.
    #[garde(range(min = 0, max = 1_000_000))]
    pub user_batch_wait_us: u64,
    /// Part of a call's time reserved for sending the answer back, in microseconds.
    #[garde(range(min = 0, max = 1_000_000))]
    pub answer_margin_us: u64,
    /// Calls in flight at a time; one more is answered "overloaded".
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
}

impl Default for EncodingOptions {
    fn default() -> Self {
        Self {
            memory_mb: 256,
            user_state_share: 0.25,
            encode_on_miss: true,
            encode_batch: 16,
            encode_threads: 1,
            encode_per_call: 64,
            encode_queue: 4096,
            write_back_queue: 4096,
            user_threads: 1,
            user_batch_rows: 1024,
            user_buckets: vec![1, 2, 4, 8],
            user_batch_wait_us: 500,
            answer_margin_us: 1000,
            max_in_flight: 1024,
        }
    }
}

impl EncodingOptions {
    /// Bytes for user states.
    pub(crate) fn user_state_bytes(&self) -> u64 {
        (self.memory_bytes() as f64 * self.user_state_share) as u64
    }

    /// Bytes for item records, and for missing records: a sixteenth of what user states leave.
    pub(crate) fn record_bytes(&self) -> (u64, u64) {
        let bytes = self.memory_bytes().saturating_sub(self.user_state_bytes());
        let for_missing = bytes / 16;
        (bytes - for_missing, for_missing)
    }

    fn memory_bytes(&self) -> u64 {
        (self.memory_mb as u64) << 20
    }

    /// When to stop waiting so that an answer comes back by `deadline`.
    #[must_use]
    pub fn before(&self, deadline: Deadline) -> Deadline {
        deadline.less(Duration::from_micros(self.answer_margin_us), 0.25)
    }
}
