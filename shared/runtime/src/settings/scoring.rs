//! Section `[scoring]`.

use serde::{Deserialize, Serialize};

use super::{check::Checks, list};

/// What the graphs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

/// Which of the bundle's models scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelChoice {
    /// PPM plugged into its host.
    Unified,
    /// The ID-based host alone.
    Idrec,
}

/// The scoring service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoringSettings {
    /// What the graphs run on.
    pub provider: Provider,
    /// Which GPU.
    pub device: u32,
    /// Whether the CPU takes over, with a warning, where the provider cannot be used.
    pub fallback: bool,
    /// Which model scores.
    pub model: ModelChoice,
    /// Worker threads, each running batches with a model of its own; 0: by the machine's cores.
    pub workers: usize,
    /// Threads inside one run of a graph.
    pub threads: usize,
    /// Candidate rows at which a batch closes.
    pub batch_rows: usize,
    /// Longest a batch waits for company, in microseconds.
    pub batch_wait_us: u64,
    /// Longest predicted run that is made on the thread of the request, when nothing else runs or
    /// waits, in microseconds; 0: never.
    pub run_in_place_us: u64,
    /// Candidates per user that shapes are padded to, ascending.
    #[serde(deserialize_with = "list::numbers")]
    pub candidate_buckets: Vec<usize>,
    /// Users per batch that shapes are padded to, ascending.
    #[serde(deserialize_with = "list::numbers")]
    pub user_buckets: Vec<usize>,
    /// Kept free between the predicted end of a run and a deadline, in microseconds.
    pub margin_us: u64,
    /// Calls in flight at a time.
    pub max_in_flight: usize,
    /// A server that runs the unified model in place of this process.
    pub open_inference: ModelServerSettings,
}

/// A server that speaks the Open Inference Protocol and runs the unified model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelServerSettings {
    /// Its addresses; the model runs in this process when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list::texts")]
    pub url: Vec<String>,
    /// The model's name there.
    pub model: String,
    /// The model's version there; the server's choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Longest wait for a run.
    pub timeout_ms: u64,
}

impl ScoringSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("scoring.device", self.device, 0..=1023);
        checks.range("scoring.workers", self.workers, 0..=256);
        checks.range("scoring.threads", self.threads, 1..=256);
        checks.range("scoring.batch_rows", self.batch_rows, 1..=1_048_576);
        checks.range("scoring.batch_wait_us", self.batch_wait_us, 0..=1_000_000);
        checks.range("scoring.run_in_place_us", self.run_in_place_us, 0..=100_000);
        checks.ascending("scoring.candidate_buckets", &self.candidate_buckets, 100_000);
        checks.ascending("scoring.user_buckets", &self.user_buckets, 4096);
        checks.range("scoring.margin_us", self.margin_us, 0..=1_000_000);
        checks.range("scoring.max_in_flight", self.max_in_flight, 1..=1_000_000);
        self.open_inference.check(checks);
    }
}

impl ModelServerSettings {
    fn check(&self, checks: &mut Checks) {
        for url in &self.url {
            checks.http_url("scoring.open_inference.url", Some(url));
        }
        // Both become parts of a path.
        let plain = |text: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "._-~".contains(c);
            !text.is_empty() && text.chars().all(known)
        };
        let allowed = "letters, digits and . _ - ~";
        checks.that(plain(&self.model), "scoring.open_inference.model", &self.model, allowed);
        if let Some(version) = &self.version {
            checks.that(plain(version), "scoring.open_inference.version", version, allowed);
        }
        checks.range("scoring.open_inference.timeout_ms", self.timeout_ms, 1..=600_000);
    }
}
