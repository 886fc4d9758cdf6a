//! One of the bundle's models behind a batcher.

use std::{sync::Arc, time::Duration};

use plugrank_bundle::{Bundle, Calibration, FeatureEncoder, GraphName};
use plugrank_contract::CallError;
use plugrank_inference::{
    Library, Provider, SessionOptions, TensorData,
    batcher::{
        BatchError, BatchObserver, Batcher, Buckets, Dims, GraphModel, Policy, RowAxis, Variable,
        history_buckets, warm_up,
    },
};
use tokio::time::Instant;

use crate::{
    calibrate::calibrate,
    error::ScoringError,
    graph_inputs::{Facts, GraphSchema, check_logit},
    options::ScoringOptions,
};

/// What one request scored.
pub(crate) struct Outcome {
    pub(crate) ctr: Vec<f32>,
    pub(crate) not_finite: usize,
    pub(crate) batch_rows: usize,
}

/// A scoring graph, its batches and its calibration.
pub(crate) struct Scorer {
    pub(crate) schema: GraphSchema,
    calibration: Calibration,
    batcher: Batcher<GraphModel>,
    reads_history: bool,
    provider: Provider,
}

impl Scorer {
    pub(crate) fn start(
        library: &Library,
        bundle: &Bundle,
        features: &FeatureEncoder,
        graph: GraphName,
        (options, session): (&ScoringOptions, SessionOptions),
        observer: Arc<dyn BatchObserver>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, ScoringError> {
        let load = |_| GraphModel::load(library, bundle, graph, session);
        let mut models = (0..options.workers).map(load).collect::<Result<Vec<GraphModel>, _>>()?;
        let layouts = models.first().map(GraphModel::inputs).unwrap_or_default();
        let outputs = models.first().map(GraphModel::outputs).unwrap_or_default();
        check_logit(graph, &outputs)?;
        let schema = GraphSchema::load(bundle, features, graph, &layouts)?;
        let reads_history = models.iter().any(|model| model.varies_with(Variable::History));
        let lengths = bundle.manifest().history;
        let longest = if reads_history { lengths.clicks + lengths.impressions } else { 1 };
        let buckets = Buckets::new(
            options.user_buckets.clone(),
            options.candidate_buckets.clone(),
            history_buckets(longest),
            RowAxis::Candidates,
            options.batch_rows,
        )?;
        let provider = models.first().map_or(session.provider, GraphModel::provider);
        let times = warm_up(&mut models, &buckets, progress)?;
        let policy = Policy { max_wait: options.batch_wait, ..Policy::new(buckets) };
        let name = format!("score-{graph}");
        let batcher = Batcher::start(&name, models, policy, times, observer)?;
        Ok(Self {
            schema,
            calibration: bundle.calibration(graph),
            batcher,
            reads_history,
            provider,
        })
    }

    /// What the graph runs on.
    pub(crate) fn provider(&self) -> Provider {
        self.provider
    }

    /// Scores the candidates of one request, in their order.
    pub(crate) async fn score(
        &self,
        facts: &Facts<'_>,
        deadline: Option<Instant>,
    ) -> Result<Outcome, CallError> {
        let largest = self.batcher.buckets().max_candidates();
        let entries = self.schema.entries(facts, largest, self.reads_history)?;
        let ran = self.batcher.run_all(entries, deadline).await.map_err(call_error)?;
        let mut logits = Vec::with_capacity(facts.candidates);
        let batch_rows = ran.iter().map(|part| part.batch_rows).sum();
        for part in ran {
            match part.output.into_iter().next() {
                Some(TensorData::F32(part)) => logits.extend(part),
                _ => return Err(CallError::internal("the graph did not answer f32 logits")),
            }
        }
        if logits.len() != facts.candidates {
            let (got, asked) = (logits.len(), facts.candidates);
            return Err(CallError::internal(format!("{got} logits for {asked} candidates")));
        }
        let (ctr, not_finite) = calibrate(&self.calibration, &logits);
        Ok(Outcome { ctr, not_finite, batch_rows })
    }

    /// How long scoring so many candidates takes by itself; zero before anything was measured.
    fn run_time(&self, candidates: usize) -> Duration {
        let buckets = self.batcher.buckets();
        let dims = Dims {
            candidates: candidates.clamp(1, buckets.max_candidates()),
            history: buckets.max_history(),
        };
        let parts = candidates.div_ceil(buckets.max_candidates()).max(1);
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        self.batcher.predict(dims).unwrap_or_default().saturating_mul(parts)
    }

    /// How long the workers would take to work off what they hold.
    pub(crate) fn backlog(&self) -> Duration {
        self.batcher.backlog()
    }

    /// When the scores of so many candidates would be there, behind what is held already.
    pub(crate) fn ready_in(&self, candidates: usize) -> Duration {
        self.backlog() + self.run_time(candidates)
    }

    /// Whether so many candidates can be scored by `deadline` at the present backlog.
    ///
    /// # Errors
    /// `Overloaded`, with the time after which trying again makes sense.
    pub(crate) fn in_time(
        &self,
        candidates: usize,
        deadline: Option<Instant>,
    ) -> Result<(), CallError> {
        let Some(deadline) = deadline else { return Ok(()) };
        let left = deadline.saturating_duration_since(Instant::now());
        let (backlog, run) = (self.backlog(), self.run_time(candidates));
        // An idle worker tries: what runs took lately says little of a run that does not wait.
        if backlog.is_zero() || backlog + run <= left {
            return Ok(());
        }
        let message = format!(
            "scoring holds work for {backlog:.1?} and needs {run:.1?} for this; {left:.1?} are left"
        );
        Err(CallError::overloaded(message).retry_after(backlog))
    }

    /// Entries that wait for a batch.
    pub(crate) fn waiting(&self) -> usize {
        self.batcher.waiting()
    }

    /// Whether every worker still runs.
    pub(crate) fn alive(&self) -> bool {
        self.batcher.alive()
    }
}

fn call_error(error: BatchError) -> CallError {
    match error {
        BatchError::Expired => CallError::deadline(format!("scoring: {error}")),
        BatchError::Stopped => CallError::unavailable(format!("scoring: {error}")),
        BatchError::Failed(_) | BatchError::TooLarge { .. } => {
            CallError::internal(format!("scoring: {error}"))
        }
    }
}
