//! One of the bundle's models behind a batcher.

use std::{sync::Arc, time::Duration};

use plugrank_bundle::{Bundle, FeatureEncoder, GraphName};
use plugrank_contract::{CallError, Deadline, scoring::TaskScores};
use plugrank_inference::{
    InputRanges, Library, Provider, RemoteGraph, TensorData,
    batcher::{
        BatchError, BatchObserver, Batcher, Buckets, Dims, Entry, GraphInput, GraphModel,
        GraphModelError, Policy, RowAxis, history_buckets, warm_up,
    },
};

use crate::{
    calibrate::calibrate,
    error::ScoringError,
    graph_inputs::{GraphSchema, InputFacts},
    options::ScoringOptions,
    remote_model::RemoteModel,
    tasks::{TaskHead, task_heads},
};

/// What one request scored.
pub(crate) struct Outcome {
    /// Of the main task.
    pub(crate) ctr: Arc<[f32]>,
    /// Of each task, where there are several.
    pub(crate) scores: Vec<TaskScores>,
    pub(crate) not_finite: usize,
    pub(crate) batch_rows: usize,
}

/// A scoring graph, its batches and its calibration.
pub(crate) struct Scorer {
    pub(crate) schema: Arc<GraphSchema>,
    tasks: Vec<TaskHead>,
    /// Which of them is the main one.
    main: usize,
    batcher: Batcher<GraphModel>,
    provider: Option<Provider>,
    /// The server that runs the graph in place of a session.
    remote: Option<Arc<dyn RemoteGraph>>,
}

/// What a scorer is started with.
pub(crate) struct Start<'a> {
    pub(crate) library: &'a Library,
    pub(crate) bundle: &'a Bundle,
    pub(crate) features: &'a FeatureEncoder,
    pub(crate) options: &'a ScoringOptions,
    pub(crate) observer: Arc<dyn BatchObserver>,
    /// Who runs the graph in place of a session.
    pub(crate) remote: Option<&'a RemoteModel>,
}

impl Scorer {
    pub(crate) fn start(
        start: Start<'_>,
        graph: GraphName,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, ScoringError> {
        let Start { library, bundle, features, options, observer, remote } = start;
        let load = |_| match remote {
            None => GraphModel::load(library, bundle, graph, options.session()),
            Some(of) => GraphModel::remote(bundle, graph, Arc::clone(&of.server)),
        };
        let mut models =
            (0..options.worker_threads()).map(load).collect::<Result<Vec<GraphModel>, _>>()?;
        let layouts = models.first().map(GraphModel::inputs).unwrap_or_default();
        let outputs = models.first().map(GraphModel::outputs).unwrap_or_default();
        let manifest = bundle.manifest();
        let tasks = task_heads(bundle, graph, &outputs)?;
        let main = tasks.iter().position(|head| *head.task == *manifest.main_task());
        let schema = Arc::new(GraphSchema::load(bundle, features, graph, &layouts)?);
        let lengths = manifest.history;
        let longest = if schema.reads_history() { lengths.clicks + lengths.impressions } else { 1 };
        let buckets = Buckets::new(
            options.user_buckets.clone(),
            options.candidate_buckets.clone(),
            history_buckets(longest),
            RowAxis::Candidates,
            options.batch_rows,
        )?;
        let provider = models.first().and_then(GraphModel::provider);
        let warmed = match remote {
            None => &mut models[..],
            // All of them are the same server's.
            Some(of) if of.reached => &mut models[..1],
            Some(_) => &mut [],
        };
        if let Some(model) = warmed.first_mut() {
            let ranges = InputRanges::new(bundle, features, None);
            model.check_lookups(graph, &ranges).map_err(GraphModelError::from)?;
        }
        let times = warm_up(warmed, &buckets, progress)?;
        let policy = Policy {
            max_wait: Duration::from_micros(options.batch_wait_us),
            run_in_place: Duration::from_micros(options.run_in_place_us),
            halve_from: Duration::from_micros(options.halve_from_us),
            ..Policy::new(buckets)
        };
        let name = format!("score-{graph}");
        let batcher = Batcher::start(&name, models, policy, times, observer)?;
        Ok(Self {
            schema,
            tasks,
            main: main.unwrap_or_default(),
            batcher,
            provider,
            remote: remote.map(|of| Arc::clone(&of.server)),
        })
    }

    /// What the graph runs on; `None` when another server runs it.
    pub(crate) fn provider(&self) -> Option<Provider> {
        self.provider
    }

    /// Scores the candidates of one request, in their order.
    pub(crate) async fn score(
        &self,
        facts: &Arc<InputFacts>,
        deadline: Deadline,
    ) -> Result<Outcome, CallError> {
        let largest = match self.batcher.halves(self.schema.dims(facts)) {
            true => facts.candidates.div_ceil(2),
            false => facts.candidates,
        };
        let largest = largest.min(self.batcher.buckets().max_candidates());
        let entries = self.schema.entries(facts, largest);
        let (logits, batch_rows) = self.logits(entries, deadline).await?;
        let (mut probabilities, mut not_finite) = (Vec::with_capacity(self.tasks.len()), 0);
        for (head, logits) in self.tasks.iter().zip(logits) {
            if logits.len() != facts.candidates {
                let (got, asked) = (logits.len(), facts.candidates);
                return Err(CallError::internal(format!("{got} logits for {asked} candidates")));
            }
            let (calibrated, broken) = calibrate(&head.calibration, &logits);
            probabilities.push(calibrated);
            not_finite += broken;
        }
        let ctr = probabilities.get(self.main).map(Arc::clone).unwrap_or_default();
        let several = self.tasks.iter().zip(probabilities).filter(|_| self.tasks.len() > 1);
        let scores = several.map(|(head, probabilities)| TaskScores {
            task: Arc::clone(&head.task),
            probabilities,
        });
        Ok(Outcome { ctr, scores: scores.collect(), not_finite, batch_rows })
    }

    /// Runs entries; the logits of all by task, in their order, and the rows of the batches they ran
    /// in.
    pub(crate) async fn logits(
        &self,
        entries: Vec<Entry<Box<dyn GraphInput>>>,
        deadline: Deadline,
    ) -> Result<(Vec<Vec<f32>>, usize), CallError> {
        let ran = self.batcher.run_all(entries, deadline).await;
        let ran = ran.map_err(|error| self.call_error(error))?;
        let batch_rows = ran.iter().map(|part| part.batch_rows).sum();
        let mut logits = vec![Vec::new(); self.tasks.len()];
        for mut part in ran {
            for (head, logits) in self.tasks.iter().zip(&mut logits) {
                match part.output.get_mut(head.place) {
                    Some(TensorData::F32(part)) if logits.is_empty() => {
                        *logits = std::mem::take(part);
                    }
                    Some(TensorData::F32(part)) => logits.append(part),
                    _ => return Err(CallError::internal("the graph did not answer f32 logits")),
                }
            }
        }
        Ok((logits, batch_rows))
    }

    /// What the graph predicts.
    pub(crate) fn tasks(&self) -> &[TaskHead] {
        &self.tasks
    }

    /// The largest entry of a batch.
    pub(crate) fn largest(&self) -> Dims {
        let buckets = self.batcher.buckets();
        Dims { candidates: buckets.max_candidates(), history: buckets.max_history() }
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
    /// `Overloaded`, with the time after which trying again makes sense; `Unavailable` while the
    /// server that runs the graph is away.
    pub(crate) fn in_time(&self, candidates: usize, deadline: Deadline) -> Result<(), CallError> {
        if let Some(server) = &self.remote {
            let away = |error| CallError::unavailable(format!("scoring: {error}"));
            server.available().map_err(away)?;
        }
        let Some(left) = deadline.remaining() else { return Ok(()) };
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

    fn call_error(&self, error: BatchError) -> CallError {
        let message = format!("scoring: {error}");
        match error {
            BatchError::Expired => CallError::deadline(message),
            BatchError::Stopped => CallError::unavailable(message),
            // Another server is not there or not well: no defect of ours.
            BatchError::Failed(_) if self.remote.is_some() => CallError::unavailable(message),
            BatchError::Failed(_) | BatchError::TooLarge { .. } => CallError::internal(message),
        }
    }
}
