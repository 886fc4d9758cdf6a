//! Section `[embedding]`.

use serde::{Deserialize, Serialize};

use super::{check::Checks, list};

/// The embedding service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingSettings {
    /// In-process tier of item records and user states, in MiB.
    pub memory_mb: usize,
    /// Share of it for user states.
    pub user_state_share: f64,
    /// Whether items cached nowhere are encoded while a request waits.
    pub encode_on_miss: bool,
    /// Items that go through the encoders at a time.
    pub encode_batch: usize,
    /// Threads that encode.
    pub encode_threads: usize,
    /// Most items a call with a deadline waits for.
    pub encode_per_call: usize,
    /// Items that may wait to be encoded.
    pub encode_queue: usize,
    /// Records that may wait to be written to the store.
    pub write_back_queue: usize,
    /// Threads that run the user encoder.
    pub user_threads: usize,
    /// History entries at which a batch of the user encoder closes.
    pub user_batch_rows: usize,
    /// Users per batch that shapes are padded to, ascending.
    #[serde(deserialize_with = "list::numbers")]
    pub user_buckets: Vec<usize>,
    /// Longest a batch of the user encoder waits for company, in microseconds.
    pub user_batch_wait_us: u64,
    /// Part of a call's time kept for the way back, in microseconds.
    pub answer_margin_us: u64,
    /// Calls in flight at a time.
    pub max_in_flight: usize,
}

impl EmbeddingSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("embedding.memory_mb", self.memory_mb, 1..=1_048_576);
        checks.range("embedding.encode_batch", self.encode_batch, 1..=4096);
        checks.range("embedding.encode_threads", self.encode_threads, 1..=256);
        checks.range("embedding.user_state_share", self.user_state_share, 0.01..=0.99);
        checks.range("embedding.encode_per_call", self.encode_per_call, 0..=100_000);
        checks.range("embedding.encode_queue", self.encode_queue, 1..=1_000_000);
        checks.range("embedding.write_back_queue", self.write_back_queue, 1..=1_000_000);
        checks.range("embedding.user_threads", self.user_threads, 1..=256);
        checks.range("embedding.user_batch_rows", self.user_batch_rows, 1..=1_048_576);
        checks.ascending("embedding.user_buckets", &self.user_buckets, 4096);
        checks.range("embedding.user_batch_wait_us", self.user_batch_wait_us, 0..=1_000_000);
        checks.range("embedding.answer_margin_us", self.answer_margin_us, 0..=1_000_000);
        checks.range("embedding.max_in_flight", self.max_in_flight, 1..=1_000_000);
    }
}
