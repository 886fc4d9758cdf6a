//! How the service is run: section `[scoring]` of the settings.

use std::{num::NonZeroUsize, time::Duration};

use garde::Validate;
use plugrank_contract::scoring::ModelKind;
use plugrank_inference::{ModelServerOptions, Provider, SessionOptions};
use plugrank_settings::{
    list,
    rules::{ascending, finite},
};
use plugrank_value::ValueFormula;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The scoring service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ScoringOptions {
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
    pub model: ModelKind,
    /// Worker threads, each running batches with a model of its own; 0: as many as the machine has
    /// cores for, max_workers at most, and one where a GPU runs the graphs. `plugrank tune` finds a number.
    #[garde(range(min = 0, max = 256))]
    pub workers: usize,
    /// Most workers that are started when no number is set: each loads the graphs again.
    #[garde(range(min = 1, max = 256))]
    pub max_workers: usize,
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
    /// Predicted run from which a request that finds all workers idle is run in two halves at a time, on
    /// its own thread and on a worker, in microseconds; 0: never.
    #[garde(range(min = 0, max = 1_000_000))]
    pub halve_from_us: u64,
    /// Candidates per user that shapes are padded to, ascending, each 1 to 100000. All are warmed.
    #[serde(deserialize_with = "list::numbers")]
    #[garde(custom(ascending(100_000)))]
    pub candidate_buckets: Vec<usize>,
    /// Users per batch that shapes are padded to, ascending, each 1 to 4096.
    #[serde(deserialize_with = "list::numbers")]
    #[garde(custom(ascending(4096)))]
    pub user_buckets: Vec<usize>,
    /// Time kept free between the predicted end of a run and a deadline, in microseconds.
    #[garde(range(min = 0, max = 1_000_000))]
    pub margin_us: u64,
    /// Share of a request's scores that may be no finite numbers; with more the next rung of the ladder
    /// answers. The same share of recent scores is what readiness reports.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub max_not_finite_share: f64,
    /// Calls in flight at a time; one more is answered "overloaded".
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// What an item is worth, which is what the order goes by: a formula of the bundle's tasks, of numbers among
    /// the items' columns, and of what requests give, such as "click * purchase * coalesce(item.price, 0)". Absent:
    /// the probability of the bundle's main task. See docs/value-formula.md.
    #[garde(custom(possible_formula))]
    #[schemars(example = "click * purchase * coalesce(item.price, 0)")]
    pub value: Option<String>,
    /// A server that speaks the Open Inference Protocol (Triton, KServe, MLServer, another Plugrank) and
    /// runs the unified model in place of this process. See docs/open-inference.md.
    #[garde(dive)]
    pub open_inference: ModelServerOptions,
}

impl Default for ScoringOptions {
    fn default() -> Self {
        Self {
            provider: Provider::Cpu,
            device: 0,
            fallback: false,
            model: ModelKind::Unified,
            workers: 0,
            max_workers: 8,
            threads: 1,
            batch_rows: 2048,
            batch_wait_us: 0,
            run_in_place_us: 2000,
            halve_from_us: 200,
            candidate_buckets: vec![10, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000],
            user_buckets: vec![1, 2, 4, 8],
            margin_us: 1000,
            max_not_finite_share: 0.1,
            max_in_flight: 256,
            value: None,
            open_inference: ModelServerOptions::default(),
        }
    }
}

/// That a text is a formula of values, where there is one.
///
/// # Errors
/// What is wrong with it.
pub fn possible_formula(text: &Option<String>, (): &()) -> garde::Result {
    let wrong = text.as_deref().map(ValueFormula::parse).transpose().err();
    wrong.map_or(Ok(()), |error| Err(garde::Error::new(format!("a formula; {error}"))))
}

impl ScoringOptions {
    /// How the graphs are loaded.
    #[must_use]
    pub fn session(&self) -> SessionOptions {
        let Self { provider, device, threads, fallback, .. } = *self;
        SessionOptions { provider, device, threads, fallback }
    }

    /// Threads that run batches, each with graphs of its own.
    pub(crate) fn worker_threads(&self) -> usize {
        match (self.workers, self.provider) {
            (0, Provider::Cuda) => 1,
            (0, Provider::Cpu) => {
                let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
                (cores / self.threads.max(1)).clamp(1, self.max_workers)
            }
            (set, _) => set,
        }
    }

    /// Part of a call's remaining time kept for the way back.
    pub(crate) fn margin(&self) -> Duration {
        Duration::from_micros(self.margin_us)
    }
}
