//! The service: candidates in, click probabilities out.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use plugrank_bundle::{Bundle, FeatureEncoder, GraphName, manifest::HistoryLengths};
use plugrank_contract::{
    CallError, Context,
    embedding::{Fetch, Fetched, RecordOrigin},
    scoring::{Coverage, ModelKind, Score, Scored},
};
use plugrank_inference::{
    Library, Provider, SessionOptions,
    batcher::{BatchObserver, NoObserver, sources::HistoryBlock},
};
use plugrank_store::Store;
use plugrank_transport::{Client, Service};
use tokio::time::{Instant, timeout_at};

use crate::{
    error::ScoringError,
    feature_table::FeatureTable,
    graph_inputs::Facts,
    metrics::{ScoringCounts, ScoringMetrics},
    options::ScoringOptions,
    scorer::{Outcome, Scorer},
};

/// What the service is built from.
pub struct ScoringParts {
    /// ONNX Runtime.
    pub library: Library,
    /// The model.
    pub bundle: Arc<Bundle>,
    /// Where item records and user states come from.
    pub embedding: Client<Fetch>,
    /// Where features and, for the ID-based model, histories come from.
    pub store: Arc<dyn Store>,
    /// What graphs run on.
    pub session: SessionOptions,
    /// How the service is run.
    pub options: ScoringOptions,
    /// Told of batches.
    pub observer: Option<Arc<dyn BatchObserver>>,
}

/// Scores candidates in batches of rows across requests.
pub struct ScoringService {
    unified: Scorer,
    idrec: Option<Scorer>,
    embedding: Client<Fetch>,
    store: Arc<dyn Store>,
    features: Arc<FeatureEncoder>,
    table: FeatureTable,
    lengths: HistoryLengths,
    version: String,
    options: ScoringOptions,
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
        let ScoringParts { library, bundle, embedding, store, session, options, observer } = parts;
        options.validate().map_err(ScoringError::Option)?;
        let observer = observer.unwrap_or_else(|| Arc::new(NoObserver));
        let features = Arc::new(bundle.feature_encoder()?);
        let mut start = |graph| {
            Scorer::start(
                &library,
                &bundle,
                &features,
                graph,
                (&options, session),
                Arc::clone(&observer),
                &mut |done, total| progress(graph, done, total),
            )
        };
        let unified = start(GraphName::Unified)?;
        let has_idrec = bundle.graph(GraphName::Idrec).is_some();
        let idrec = has_idrec.then(|| start(GraphName::Idrec)).transpose()?;
        let encoder = Arc::clone(&features);
        let table = FeatureTable::new(Arc::clone(&store), encoder, options.feature_bytes);
        Ok(Self {
            unified,
            idrec,
            embedding,
            store,
            features,
            table,
            lengths: bundle.manifest().history,
            version: bundle.version().to_owned(),
            options,
            metrics: ScoringMetrics::default(),
        })
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> ScoringCounts {
        self.metrics.snapshot()
    }

    /// What the graphs run on, which is not what was asked for when a fallback stepped in.
    #[must_use]
    pub fn provider(&self) -> Provider {
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

    async fn score(&self, context: &Context, call: &Score) -> Result<Scored, CallError> {
        match (call.model, &self.idrec) {
            (ModelKind::Unified, _) => self.score_unified(context, call).await,
            (ModelKind::Idrec, Some(scorer)) => self.score_idrec(scorer, context, call).await,
            (ModelKind::Idrec, None) => Err(CallError::invalid(format!(
                "model: bundle {} has no idrec graph; ask for \"unified\", or export the bundle \
                 with one",
                self.version
            ))),
        }
    }

    async fn score_unified(&self, context: &Context, call: &Score) -> Result<Scored, CallError> {
        let schema = &self.unified.schema;
        let wanted = Fetch {
            item_ids: call.item_ids.clone(),
            user: Some((call.user_id.clone(), call.as_of)),
        };
        // The run needs its time too; what is not fetched by then is a missing record.
        let kept = self.unified.predict(call.item_ids.len()).unwrap_or_default();
        let fetch_by = earlier(context, kept + self.options.answer_margin);
        let fetch_context = Context { deadline: fetch_by, ..context.clone() };
        let fetched = self.embedding.call(fetch_context, wanted);
        let features = async {
            if schema.candidate_features() {
                self.table.of(&call.item_ids).await
            } else {
                Ok(Vec::new())
            }
        };
        let (fetched, candidate_features) = futures::future::try_join(fetched, features).await?;
        self.check(&fetched, call)?;
        schema.check_records(&fetched.items, call.item_ids.len())?;
        let state = fetched.user.as_ref();
        let state = state.ok_or_else(|| CallError::internal("no user state was fetched"))?;
        let facts = Facts {
            candidates: call.item_ids.len(),
            records: Some(&fetched.items),
            candidate_features: &candidate_features,
            state: &state.outputs,
            history_len: state.history_len as usize,
            recency_bucket: state.recency_bucket,
            ..Facts::default()
        };
        let outcome = self.unified.score(&facts, context.deadline).await?;
        let coverage = coverage(&fetched.origins, state.history_len);
        Ok(self.scored(outcome, coverage))
    }

    async fn score_idrec(
        &self,
        scorer: &Scorer,
        context: &Context,
        call: &Score,
    ) -> Result<Scored, CallError> {
        let schema = &scorer.schema;
        let HistoryLengths { clicks, impressions } = self.lengths;
        let user = &call.user_id;
        let unreadable =
            |error| CallError::unavailable(format!("user `{user}` was not read: {error}"));
        let history = async {
            let read = self.store.history(user, call.as_of, clicks, impressions).await;
            let history = read.map_err(unreadable)?;
            let items: Vec<_> = history.entries.iter().map(|entry| entry.item_id.clone()).collect();
            let features =
                if schema.history_features() { self.table.of(&items).await? } else { Vec::new() };
            Ok::<_, CallError>((history, features))
        };
        let profile = async {
            if !schema.user_features() {
                return Ok(None);
            }
            self.store.user(user).await.map_err(unreadable)
        };
        let candidates = async {
            if schema.candidate_features() {
                self.table.of(&call.item_ids).await
            } else {
                Ok(Vec::new())
            }
        };
        let ((history, history_features), profile, candidate_features) =
            futures::future::try_join3(history, profile, candidates).await?;
        let user_features = self.features.user(user, profile.as_deref());
        let block = HistoryBlock { entries: &history.entries, time: schema.time };
        let facts = Facts {
            candidates: call.item_ids.len(),
            candidate_features: &candidate_features,
            history: &history.entries,
            history_len: history.entries.len(),
            history_features: &history_features,
            user_features: &user_features,
            recency_bucket: block.recency_bucket(call.as_of),
            ..Facts::default()
        };
        let outcome = scorer.score(&facts, context.deadline).await?;
        // No vector is read, so none can be missing.
        let history = u32::try_from(history.entries.len()).unwrap_or(u32::MAX);
        Ok(self.scored(outcome, Coverage { history, ..Coverage::default() }))
    }

    fn scored(&self, outcome: Outcome, coverage: Coverage) -> Scored {
        let rows = outcome.ctr.len();
        self.metrics.add(rows, coverage.missing as usize, outcome.not_finite);
        if outcome.not_finite > 0 {
            let count = outcome.not_finite;
            tracing::error!(count, bundle = self.version, "logits were no finite numbers");
        }
        Scored {
            bundle: self.version.clone(),
            ctr: outcome.ctr,
            coverage: Coverage { rows: u32::try_from(rows).unwrap_or(u32::MAX), ..coverage },
            batch_rows: u32::try_from(outcome.batch_rows).unwrap_or(u32::MAX),
        }
    }

    fn check(&self, fetched: &Fetched, call: &Score) -> Result<(), CallError> {
        if fetched.bundle != self.version {
            return Err(CallError::unavailable(format!(
                "the embedding service runs bundle {}, scoring runs {}; roll both out",
                fetched.bundle, self.version
            )));
        }
        if fetched.origins.len() != call.item_ids.len() {
            let (got, asked) = (fetched.origins.len(), call.item_ids.len());
            return Err(CallError::internal(format!("{got} records for {asked} candidates")));
        }
        Ok(())
    }
}

/// The context's deadline less `kept`, but never less than half of what is left.
fn earlier(context: &Context, kept: Duration) -> Option<Instant> {
    let deadline = context.deadline?;
    let left = deadline.saturating_duration_since(Instant::now());
    Some(deadline.checked_sub(kept.min(left / 2)).unwrap_or(deadline))
}

fn coverage(origins: &[RecordOrigin], history: u32) -> Coverage {
    let mut coverage = Coverage { history, ..Coverage::default() };
    for origin in origins {
        *match origin {
            RecordOrigin::Memory => &mut coverage.memory,
            RecordOrigin::Store => &mut coverage.store,
            RecordOrigin::Encoded => &mut coverage.encoded,
            RecordOrigin::Missing => &mut coverage.missing,
        } += 1;
    }
    coverage
}

#[async_trait]
impl Service<Score> for ScoringService {
    async fn call(&self, context: Context, call: Score) -> Result<Scored, CallError> {
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before scoring was begun"));
        }
        let (asked, most) = (call.item_ids.len(), self.options.max_candidates);
        if asked > most {
            return Err(CallError::invalid(format!(
                "item_ids: {asked} candidates, at most {most} can be scored in one call"
            )));
        }
        if asked == 0 {
            let bundle = self.version.clone();
            let coverage = Coverage::default();
            return Ok(Scored { bundle, ctr: Vec::new(), coverage, batch_rows: 0 });
        }
        let scored = self.score(&context, &call);
        match context.deadline {
            None => scored.await,
            Some(deadline) => timeout_at(deadline, scored)
                .await
                .map_err(|_| CallError::deadline("scoring did not end in time"))?,
        }
    }
}
