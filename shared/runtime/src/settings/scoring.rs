//! Section `[scoring]`.

use garde::Validate;
use plugrank_settings::{
    list,
    rules::{ascending, holds, http_urls},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the graphs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

/// Which of the bundle's models scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelChoice {
    /// PPM plugged into its host.
    Unified,
    /// The ID-based host alone.
    Idrec,
}

/// The scoring service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ScoringSettings {
    /// What the graphs run on.
    #[garde(skip)]
    pub provider: Provider,
    /// Which GPU; read only with "cuda".
    #[garde(range(min = 0, max = 1023))]
    pub device: u32,
    /// Whether the CPU takes over, with a warning, where the provider cannot be used. Otherwise the
    /// process does not start.
    #[garde(skip)]
    pub fallback: bool,
    /// Which of the bundle's models scores.
    #[garde(skip)]
    pub model: ModelChoice,
    /// Worker threads, each running batches with a model of its own; 0: as many as the machine has
    /// cores for, 8 at most, and one where a GPU runs the graphs. `plugrank tune` finds a number.
    #[garde(range(min = 0, max = 256))]
    pub workers: usize,
    /// Threads inside one run of a graph.
    #[garde(range(min = 1, max = 256))]
    pub threads: usize,
    /// Candidate rows at which a batch closes.
    #[garde(range(min = 1, max = 1_048_576))]
    pub batch_rows: usize,
    /// Maximum time a batch waits for more rows while a worker is idle, in microseconds.
    #[garde(range(min = 0, max = 1_000_000))]
    pub batch_wait_us: u64,
    /// Longest predicted run that is made on the thread of the request, when nothing else runs or
    /// waits, in microseconds; 0: never.
    #[garde(range(min = 0, max = 100_000))]
    pub run_in_place_us: u64,
    /// Candidates per user that shapes are padded to, ascending, each 1 to 100000. All are warmed.
    #[serde(deserialize_with = "list::numbers")]
    #[garde(custom(ascending(100_000)))]
    pub candidate_buckets: Vec<usize>,
    /// Users per batch that shapes are padded to, ascending, each 1 to 4096.
    #[serde(deserialize_with = "list::numbers")]
    #[garde(custom(ascending(4096)))]
    pub user_buckets: Vec<usize>,
    /// Kept free between the predicted end of a run and a deadline, in microseconds.
    #[garde(range(min = 0, max = 1_000_000))]
    pub margin_us: u64,
    /// Calls in flight at a time; one more is answered "overloaded".
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// A server that speaks the Open Inference Protocol (Triton, KServe, MLServer, another Plugrank) and
    /// runs the unified model in place of this process. See docs/open-inference.md.
    #[garde(dive)]
    pub open_inference: ModelServerSettings,
}

impl Default for ScoringSettings {
    fn default() -> Self {
        Self {
            provider: Provider::Cpu,
            device: 0,
            fallback: false,
            model: ModelChoice::Unified,
            workers: 0,
            threads: 1,
            batch_rows: 2048,
            batch_wait_us: 0,
            run_in_place_us: 2000,
            candidate_buckets: vec![10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000],
            user_buckets: vec![1, 2, 4, 8],
            margin_us: 1000,
            max_in_flight: 256,
            open_inference: ModelServerSettings::default(),
        }
    }
}

/// A server that runs the unified model in place of this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ModelServerSettings {
    /// One address or several, as under [peers], which also says how it is called. Absent: this
    /// process runs the model.
    #[serde(deserialize_with = "list::texts")]
    #[garde(custom(http_urls))]
    #[schemars(example = &"http://triton:8000")]
    pub url: Vec<String>,
    /// The model's name there.
    #[garde(custom(part_of_a_path))]
    pub model: String,
    /// The model's version there. Absent: the server's choice.
    #[garde(inner(custom(part_of_a_path)))]
    #[schemars(example = &"1")]
    pub version: Option<String>,
    /// Maximum wait for a run, in milliseconds; a request's own deadline ends it earlier.
    #[garde(range(min = 1, max = 600_000))]
    pub timeout_ms: u64,
}

impl Default for ModelServerSettings {
    fn default() -> Self {
        Self { url: Vec::new(), model: "unified".to_owned(), version: None, timeout_ms: 1000 }
    }
}

fn part_of_a_path(text: &str, _: &()) -> garde::Result {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-~".contains(c);
    let plain = !text.is_empty() && text.chars().all(known);
    holds(plain, || "letters, digits and . _ - ~".to_owned())
}
