//! The service: its parts put together, and its calls.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use plugrank_bundle::Bundle;
use plugrank_contract::{
    CallError, Context, ItemId, Matrix,
    embedding::{FetchVectors, FetchedVectors, Invalidate, RecordOrigin},
    inner_span,
};
use plugrank_inference::{
    Library, SessionOptions,
    batcher::{BatchObserver, NoObserver},
};
use plugrank_store::{Store, StoredItem, VectorSpace};
use plugrank_transport::Service;
use tokio::runtime::Handle;
use tracing::{Instrument, field::Empty};

use crate::{
    encode_queue::{EncodeCore, EncodeQueue},
    encoder::Encoder,
    error::EmbeddingError,
    item_models::ItemSchema,
    memory::ItemMemory,
    metrics::{EmbeddingCounts, EmbeddingMetrics},
    options::EmbeddingOptions,
    records::{Records, Resolved, Wanted},
    time_limit::TimeLimit,
    user_state::UserStates,
    write_back::WriteBack,
};

/// What the service is built from.
pub struct EmbeddingParts {
    /// ONNX Runtime.
    pub library: Library,
    /// The model.
    pub bundle: Arc<Bundle>,
    /// Catalog, behaviour and cached vectors.
    pub store: Arc<dyn Store>,
    /// What graphs run on.
    pub session: SessionOptions,
    /// How the service is run.
    pub options: EmbeddingOptions,
    /// Told of user-encoder batches.
    pub observer: Option<Arc<dyn BatchObserver>>,
}

/// Cached PPM item records and user states, encoded on a miss.
pub struct EmbeddingService {
    pub(crate) records: Records,
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: EmbeddingOptions,
    pub(crate) users: UserStates,
    pub(crate) version: String,
    metrics: Arc<EmbeddingMetrics>,
}

impl EmbeddingService {
    /// Loads the graphs, runs every user-encoder shape once (`progress`: done, of) and starts the
    /// background work. Takes seconds and blocks: not for an executor's thread.
    ///
    /// # Errors
    /// When the bundle, an option or a graph cannot be used, or there is no tokio runtime.
    pub fn new(
        parts: EmbeddingParts,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, EmbeddingError> {
        let EmbeddingParts { library, bundle, store, session, options, observer } = parts;
        options.validate().map_err(EmbeddingError::Option)?;
        let runtime = Handle::try_current().map_err(|_| EmbeddingError::NoRuntime)?;
        let metrics = Arc::<EmbeddingMetrics>::default();
        let features = Arc::new(bundle.feature_encoder()?);
        let schema = Arc::new(ItemSchema::load(&bundle, Arc::clone(&features))?);
        let encoder = Arc::new(Encoder::start(
            &library,
            &bundle,
            schema,
            Arc::clone(&store),
            (&options, session),
            Arc::clone(&metrics),
        )?);
        let users = UserStates::start(
            &library,
            &bundle,
            Arc::clone(&store),
            Arc::clone(&features),
            (&options, session),
            observer.unwrap_or_else(|| Arc::new(NoObserver)),
            Arc::clone(&metrics),
            progress,
        )?;
        let for_items = (options.memory_bytes as f64 * (1.0 - options.user_state_share)) as u64;
        let memory = Arc::new(ItemMemory::new(for_items));
        let space = VectorSpace::Record(bundle.version().to_owned());
        let modal_space = VectorSpace::Modal(bundle.modal_version());
        let write_back = WriteBack::start(
            &runtime,
            Arc::clone(&store),
            (modal_space, space.clone()),
            options.write_back_queue.div_ceil(options.encode_batch),
            Arc::clone(&metrics),
        );
        let core = EncodeCore::new(
            Arc::clone(&encoder),
            Arc::clone(&memory),
            write_back,
            Arc::clone(&metrics),
        );
        let queue = EncodeQueue::start(&runtime, Arc::new(core), &options);
        let item_features = &bundle.manifest().features.item;
        let id_feature = item_features.iter().find(|feature| feature.column == "item_id");
        let id_slot = id_feature.and_then(|feature| {
            features.item_slots().iter().find(|slot| slot.name == feature.name).cloned()
        });
        let records = Records {
            store: Arc::clone(&store),
            memory,
            queue,
            metrics: Arc::clone(&metrics),
            layout: bundle.record().clone(),
            space,
            id_slot,
            encode_on_miss: options.encode_on_miss,
            max_encoded: options.max_encoded_per_call,
            nameless: OnceLock::new(),
        };
        let version = bundle.version().to_owned();
        Ok(Self { records, encoder, store, options, users, version, metrics })
    }

    /// Runs both encoders once and keeps the missing record of an unknown item and the state of an
    /// unknown user, the last resort of a call without time.
    ///
    /// # Errors
    /// When the graph fails.
    pub async fn warm_up(&self) -> Result<(), EmbeddingError> {
        // An id with a line break is in no vocabulary, which has one value a line.
        let nameless = self.encoder.missing(vec![ItemId::from("\n")]).await?;
        let record = nameless.into_iter().next();
        let record = record.ok_or_else(|| EmbeddingError::Encode("no record".to_owned()))?;
        // A second warm-up finds the first one's record, which is the same.
        let _ = self.records.nameless.set(record);
        let state = self.users.warm_up().await;
        state.map_err(|error| EmbeddingError::Encode(error.to_string()))
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> EmbeddingCounts {
        self.metrics.snapshot()
    }

    /// Bytes held by the in-process tier: item records and user states.
    #[must_use]
    pub fn memory_bytes(&self) -> (u64, u64) {
        (self.records.memory.bytes(), self.users.bytes())
    }

    /// Items queued or being encoded.
    #[must_use]
    pub fn encoding(&self) -> usize {
        self.records.queue.under_way()
    }

    /// Whether every worker still runs; false fails readiness.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.encoder.alive() && self.users.alive()
    }

    /// Waits until what was encoded so far is in the store.
    pub async fn flush(&self) {
        self.records.queue.core.write_back.flush().await;
    }

    pub(crate) async fn items(
        &self,
        ids: &[ItemId],
        limit: TimeLimit,
    ) -> Result<Vec<Option<Arc<StoredItem>>>, CallError> {
        let span = inner_span!("items", embedding.items = ids.len() as i64);
        let read = limit.within(self.store.items(ids)).instrument(span).await;
        let items = read.ok_or_else(|| CallError::deadline("the store did not answer in time"))?;
        let items = items
            .map_err(|error| CallError::unavailable(format!("items were not read: {error}")))?;
        if items.len() != ids.len() {
            let message = format!("the store answered {} items for {}", items.len(), ids.len());
            return Err(CallError::internal(message));
        }
        Ok(items)
    }

    pub(crate) async fn resolve(
        &self,
        wanted: &[Wanted],
        limit: TimeLimit,
    ) -> Result<Resolved, CallError> {
        let span = inner_span!(
            "records",
            embedding.records = wanted.len() as i64,
            embedding.missing = Empty,
        );
        let resolved = self.records.resolve(wanted, limit).instrument(span.clone()).await;
        if let Ok(resolved) = &resolved {
            let missing = |origin: &&RecordOrigin| **origin == RecordOrigin::Missing;
            let missing = resolved.origins.iter().filter(missing).count();
            span.record("embedding.missing", missing as i64);
        }
        resolved.map_err(|error| CallError::internal(error.to_string()))
    }

    pub(crate) fn matrix(&self, resolved: &Resolved) -> Result<Matrix, CallError> {
        let layout = &self.records.layout;
        let mut data = Vec::with_capacity(resolved.records.len() * layout.bytes());
        resolved.records.iter().for_each(|record| data.extend_from_slice(record));
        Matrix::new(resolved.records.len(), layout.dim, layout.dtype, data)
            .map_err(|error| CallError::internal(error.to_string()))
    }
}

pub(crate) fn wanted(ids: &[ItemId], items: Vec<Option<Arc<StoredItem>>>) -> Vec<Wanted> {
    let one = |(id, stored): (&ItemId, _)| Wanted { id: id.clone(), stored };
    ids.iter().zip(items).map(one).collect()
}

#[async_trait]
impl Service<FetchVectors> for EmbeddingService {
    async fn call(
        &self,
        context: Context,
        call: FetchVectors,
    ) -> Result<FetchedVectors, CallError> {
        let limit = TimeLimit::of(&context, self.options.answer_margin);
        let items = self.items(&call.item_ids, limit).await?;
        let resolved = self.resolve(&wanted(&call.item_ids, items), limit).await?;
        let layout = &self.records.layout;
        let part = layout.vector();
        let data = resolved.records.iter().flat_map(|record| layout.slice(part, record));
        let data = data.copied().collect();
        let vectors = Matrix::new(resolved.records.len(), part.dim, layout.dtype, data)
            .map_err(|error| CallError::internal(error.to_string()))?;
        let bundle = self.version.clone();
        Ok(FetchedVectors { bundle, vectors, origins: resolved.origins })
    }
}

#[async_trait]
impl Service<Invalidate> for EmbeddingService {
    async fn call(&self, _: Context, call: Invalidate) -> Result<(), CallError> {
        call.item_ids.iter().for_each(|id| self.records.memory.forget(id));
        Ok(())
    }
}
