//! The service: candidates in, click probabilities out.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_bundle::{Bundle, GraphName, ItemFeatures, ItemRecordLayout};
use plugrank_contract::{
    CallError, Context, ErrorCode, ItemId, ItemIndex,
    scoring::{ModelKind, RecordCoverage, Score, Scored, ScoringLoad, Valued},
};
use plugrank_encoding::{Embeddings, UserReader};
use plugrank_inference::{
    Library, Provider,
    batcher::{BatchObserver, NoObserver},
};
use plugrank_items::{Availability, FeatureColumn, ItemTable};
use plugrank_settings::{check, refuse};
use plugrank_store::Store;
use plugrank_transport::Service;

use crate::{
    error::ScoringError,
    graph_inputs::CandidateFeatures,
    metrics::{ScoringCounts, ScoringMetrics},
    options::ScoringOptions,
    remote_model::RemoteModel,
    scorer::{Outcome, Scorer, Start},
    seen::{FeatureSeen, SeenInRequests},
    value::{ItemValues, Valuing},
};

/// Most of the time left that is kept for a graph's run, away from fetching what it reads.
pub(crate) const MOST_KEPT: f64 = 0.5;

/// What the service is built from.
pub struct ScoringParts {
    /// ONNX Runtime.
    pub library: Library,
    /// The model.
    pub bundle: Arc<Bundle>,
    /// Item records and user states.
    pub embeddings: Embeddings,
    /// Where profiles and histories come from, when no stage before has read them.
    pub store: Arc<dyn Store>,
    /// The item table of this process.
    pub items: Arc<ItemTable>,
    /// Features of its items by this bundle, attached to it.
    pub features: Arc<FeatureColumn>,
    /// How the service is run.
    pub options: ScoringOptions,
    /// Most candidates one call may name.
    pub max_candidates: usize,
    /// Formulas in place of that of the options, each with the setting that it is of.
    pub formulas: Vec<(String, Arc<str>)>,
    /// Told of batches.
    pub observer: Option<Arc<dyn BatchObserver>>,
    /// The server that runs the unified graph in place of a session.
    pub remote: Option<RemoteModel>,
}

/// Scores candidates in batches of rows across requests.
pub struct ScoringService {
    pub(crate) unified: Scorer,
    pub(crate) idrec: Option<Scorer>,
    pub(crate) embeddings: Embeddings,
    pub(crate) users: UserReader,
    pub(crate) items: Arc<ItemTable>,
    pub(crate) features: Arc<FeatureColumn>,
    pub(crate) record_layout: ItemRecordLayout,
    pub(crate) version: Arc<str>,
    pub(crate) options: ScoringOptions,
    pub(crate) values: ItemValues,
    seen: SeenInRequests,
    max_candidates: usize,
    metrics: ScoringMetrics,
}

impl ScoringService {
    /// Loads the graphs and runs every shape a batch can have (`progress`: done, of; once for each
    /// graph), so that none is met for the first time by a request. Takes seconds and blocks.
    ///
    /// # Errors
    /// When the bundle, an option or a graph cannot be used.
    pub fn new(
        parts: ScoringParts,
        progress: &mut dyn FnMut(GraphName, usize, usize),
    ) -> Result<Self, ScoringError> {
        let ScoringParts {
            library,
            bundle,
            embeddings,
            store,
            items,
            features,
            options,
            max_candidates,
            formulas,
            observer,
            remote,
        } = parts;
        refuse(check(&options)).map_err(ScoringError::Option)?;
        let observer = observer.unwrap_or_else(|| Arc::new(NoObserver));
        let mut start = |graph, remote| {
            let start = Start {
                library: &library,
                bundle: &bundle,
                features: features.encoder(),
                options: &options,
                observer: Arc::clone(&observer),
                remote,
            };
            Scorer::start(start, graph, &mut |done, total| progress(graph, done, total))
        };
        let own = options.value.as_deref();
        let values = ItemValues::new(own, Arc::clone(&bundle), Arc::clone(&items));
        let refused = |setting: &str, why| ScoringError::Value { setting: setting.to_owned(), why };
        let mut values = values.map_err(|why| refused("scoring.value", why))?;
        for (setting, formula) in &formulas {
            values.keep(formula).map_err(|why| refused(setting, why))?;
        }
        let unified = start(GraphName::Unified, remote.as_ref())?;
        let has_idrec = bundle.graph(GraphName::Idrec).is_some();
        let idrec = has_idrec.then(|| start(GraphName::Idrec, None)).transpose()?;
        Ok(Self {
            unified,
            idrec,
            embeddings,
            users: UserReader::for_bundle(store, &bundle),
            items,
            features,
            record_layout: bundle.record().clone(),
            version: bundle.version().into(),
            options,
            values,
            seen: SeenInRequests::new(&bundle),
            max_candidates,
            metrics: ScoringMetrics::default(),
        })
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> ScoringCounts {
        self.metrics.snapshot()
    }

    /// What was found of each feature since the start.
    #[must_use]
    pub fn features_seen(&self) -> Vec<FeatureSeen> {
        self.seen.read()
    }

    /// What the unified graph runs on, which is not what was asked for when a fallback stepped in;
    /// `None` when another server runs it.
    #[must_use]
    pub fn provider(&self) -> Option<Provider> {
        self.unified.provider()
    }

    /// Requests, or parts of large ones, that wait for a batch.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.unified.waiting() + self.idrec.as_ref().map_or(0, Scorer::waiting)
    }

    /// Whether every worker still runs; false fails readiness.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.unified.alive() && self.idrec.as_ref().is_none_or(Scorer::alive)
    }

    /// The model asked for if it can be run in time; the ID-based one in its place where not.
    async fn score(&self, context: &Context, call: &Score) -> Result<Scored, CallError> {
        let fell = match (call.model, &self.idrec) {
            (ModelKind::Unified, None) => return self.score_unified(context, call).await,
            (ModelKind::Unified, Some(idrec)) => {
                match self.unified_first(context, call, idrec).await {
                    Ok(scored) => return Ok(scored),
                    Err(error) if error.code == ErrorCode::InvalidArgument => return Err(error),
                    Err(error) => Some(error),
                }
            }
            (ModelKind::Idrec, Some(_)) => None,
            (ModelKind::Idrec, None) => {
                let fell = CallError::invalid(format!(
                    "bundle {} has no idrec graph; export one with it",
                    self.version
                ));
                let scored = self.score_unified(context, call).await?;
                return Ok(Scored { fell: Some(fell), ..scored });
            }
        };
        match self.score_idrec(context, call).await {
            Ok(scored) => Ok(Scored { fell, ..scored }),
            // The first error is the one to correct.
            Err(error) => Err(fell.unwrap_or(error)),
        }
    }

    /// The unified model, cut early enough for the ID-based one to be run after it, but not before
    /// half of the time is gone.
    async fn unified_first(
        &self,
        context: &Context,
        call: &Score,
        idrec: &Scorer,
    ) -> Result<Scored, CallError> {
        let kept = idrec.ready_in(call.items.len()) + self.options.margin();
        let cut = context.deadline.less(kept, MOST_KEPT);
        let cut_context = Context { deadline: cut, ..context.clone() };
        let scored = self.score_unified(&cut_context, call);
        let late = || Err(CallError::deadline("the unified model did not answer in time"));
        cut.limit(scored).await.unwrap_or_else(late)
    }

    /// Features of the candidates, where the graph of `scorer` reads any.
    pub(crate) fn candidate_features(
        &self,
        scorer: &Scorer,
        items: &Arc<[ItemIndex]>,
        call: &Score,
    ) -> Option<CandidateFeatures> {
        if !scorer.schema.candidate_features() {
            return None;
        }
        let rows = self.items.view();
        let there = |index: &ItemIndex| rows.availability(*index) != Availability::Removed;
        let mut unknown = Vec::new();
        if !items.iter().all(there) {
            // One walk: an id by its place is looked for among all unknown ones before it.
            let named = items.iter().zip(call.items.ids()).enumerate();
            let missing = named.filter(|(_, (index, _))| !there(index));
            let encoder = self.features.encoder();
            unknown.extend(missing.map(|(at, (_, id))| (at, encoder.missing_item(id))));
        }
        Some(CandidateFeatures { view: self.features.view(), items: Arc::clone(items), unknown })
    }

    /// What the candidates are worth by the call's formula, or the service's. Where the call's cannot be bound,
    /// that is their probability, and the reply says why.
    pub(crate) fn value(
        &self,
        call: &Score,
        items: &[ItemIndex],
        outcome: &Outcome,
    ) -> Option<Valued> {
        match self.values.for_call(call.value.as_ref()) {
            Ok(value) => {
                let valued = value?.values(&Valuing {
                    ctr: &outcome.ctr,
                    scores: &outcome.scores,
                    view: &self.items.view(),
                    items,
                    given: call.given.as_deref(),
                    encoder: self.features.encoder(),
                    as_of: call.as_of,
                    explain: call.explain,
                });
                self.metrics.add_without_value(&valued.values);
                Some(valued)
            }
            Err(why) => {
                let formula = call.value.clone().unwrap_or_default();
                Some(Valued {
                    broken: Some(format!("`{formula}` cannot be worked out: {why}")),
                    formula,
                    values: Arc::clone(&outcome.ctr),
                    names: Vec::new(),
                    numbers: Vec::new(),
                })
            }
        }
    }

    /// Whether a formula can be worked out here: its names are tasks of the bundle, numbers among the items'
    /// columns, and features of the request.
    ///
    /// # Errors
    /// When it cannot; the text says which name is none, and which there are.
    pub fn check_value(&self, formula: &str) -> Result<(), String> {
        self.values.bind(formula).map(|_| ())
    }

    /// Features of one item by its id: those of the table, or what is known from the id alone.
    pub(crate) fn item_features(&self, id: &ItemId) -> ItemFeatures {
        let rows = self.items.view();
        let view = self.features.view();
        match rows.index_of(id.as_str()).and_then(|index| view.row(index)) {
            Some(row) => row.into(),
            None => self.features.encoder().missing_item(id),
        }
    }

    /// Share of recent scores that were no finite numbers, where it is above what the options allow.
    #[must_use]
    pub fn not_finite_share(&self) -> Option<f64> {
        let share = self.metrics.not_finite_share()?;
        (share > self.options.max_not_finite_share).then_some(share)
    }

    /// # Errors
    /// `NotFinite` when too many of the scores are no finite numbers.
    pub(crate) fn scored(
        &self,
        model: ModelKind,
        outcome: Outcome,
        coverage: RecordCoverage,
        late: Option<String>,
    ) -> Result<Scored, CallError> {
        let rows = outcome.ctr.len();
        let count = outcome.not_finite;
        // Those of all tasks count.
        let scores = rows * outcome.scores.len().max(1);
        self.metrics.add(model, (rows, coverage.missing as usize), (scores, count));
        if count > 0 {
            tracing::error!(count, rows, ?model, bundle = &*self.version, "scores were no numbers");
            if count as f64 > self.options.max_not_finite_share * scores as f64 {
                let message = format!("{count} of {scores} scores were no finite numbers");
                return Err(CallError::not_finite(message));
            }
        }
        Ok(Scored {
            bundle: Arc::clone(&self.version),
            ctr: outcome.ctr,
            scores: outcome.scores,
            value: None,
            facts: None,
            model,
            fell: None,
            late,
            coverage: RecordCoverage { rows: u32::try_from(rows).unwrap_or(u32::MAX), ..coverage },
            batch_rows: u32::try_from(outcome.batch_rows).unwrap_or(u32::MAX),
            load: self.load(),
        })
    }

    fn load(&self) -> ScoringLoad {
        let backlog = self.unified.backlog().as_micros();
        ScoringLoad { backlog_us: u32::try_from(backlog).unwrap_or(u32::MAX) }
    }
}

#[async_trait]
impl Service<Score> for ScoringService {
    async fn call(&self, context: Context, mut call: Score) -> Result<Scored, CallError> {
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before scoring was begun"));
        }
        let (asked, most) = (call.items.len(), self.max_candidates);
        if asked > most {
            return Err(CallError::invalid(format!(
                "items: {asked} candidates, at most {most} can be scored in one call"
            )));
        }
        if asked == 0 {
            let coverage = RecordCoverage::default();
            return Ok(Scored {
                bundle: Arc::clone(&self.version),
                ctr: Arc::default(),
                scores: Vec::new(),
                value: None,
                facts: None,
                model: call.model,
                fell: None,
                late: None,
                coverage,
                batch_rows: 0,
                load: self.load(),
            });
        }
        self.check_given(&call)?;
        // Ids from another process are looked up once, not by each part that reads the table.
        call.items = call.items.resolve(&self.items);
        let scored = async {
            let call = self.with_given_user(&call, context.deadline).await;
            self.seen.note(&call, &self.items, &self.features);
            self.score(&context, &call).await
        };
        let late = || Err(CallError::deadline("scoring did not end in time"));
        context.deadline.limit(scored).await.unwrap_or_else(late)
    }
}
