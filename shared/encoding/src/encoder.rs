//! Makes records of items: modal vectors from the store or the encoders, then the item encoder.

use std::sync::Arc;

use plugrank_bundle::Bundle;
use plugrank_contract::{Deadline, ItemId};
use plugrank_inference::{InferenceError, Library, SessionOptions, worker_pool::WorkerPool};
use plugrank_store::{Store, StoredItem, VectorSpace};

use crate::{
    encode_job::{self, EncodedItems, ItemToRun, ModalSource},
    error::EncodingError,
    item_models::{Content, EncoderRow, ItemModels, ItemSchema},
    metrics::EncodingMetrics,
    modal::ModalVector,
    modal_key::modal_key,
    options::EncodingOptions,
    record_set::Record,
};

/// Jobs that may wait for the threads; callers bound what they have under way themselves.
const WAITING_JOBS: usize = 4096;

type Encoded = Result<EncodedItems, InferenceError>;

/// One batch of items, on the models of a worker.
type EncodeJob<'a> = Box<dyn FnOnce() -> Encoded + Send + 'a>;

/// Makes records of items.
pub(crate) struct Encoder {
    pub(crate) schema: Arc<ItemSchema>,
    store: Arc<dyn Store>,
    modal_space: VectorSpace,
    /// Text, image and item encoder.
    full: WorkerPool<ItemModels>,
    /// The item encoder alone, so that missing records never wait for texts and images.
    light: WorkerPool<ItemModels>,
    metrics: Arc<EncodingMetrics>,
}

impl Encoder {
    pub(crate) fn start(
        library: &Library,
        bundle: &Bundle,
        schema: Arc<ItemSchema>,
        store: Arc<dyn Store>,
        (options, session): (&EncodingOptions, SessionOptions),
        metrics: Arc<EncodingMetrics>,
    ) -> Result<Self, EncodingError> {
        let load = |encoders| ItemModels::load(library, bundle, &schema, session, encoders);
        let mut full =
            (0..options.encode_threads).map(|_| load(true)).collect::<Result<Vec<_>, _>>()?;
        if let Some(models) = full.first_mut() {
            models.check_lookups(bundle)?;
        }
        let light = vec![load(false)?];
        Ok(Self {
            full: WorkerPool::start("encode", full, WAITING_JOBS)?,
            light: WorkerPool::start("encode-missing", light, WAITING_JOBS)?,
            modal_space: VectorSpace::Modal(bundle.modal_version()),
            schema,
            store,
            metrics,
        })
    }

    /// Where modal vectors are kept.
    pub(crate) fn modal_space(&self) -> &VectorSpace {
        &self.modal_space
    }

    /// Whether every thread still runs.
    pub(crate) fn alive(&self) -> bool {
        self.full.alive() && self.light.alive()
    }

    /// Encodes items that somebody waits for.
    ///
    /// # Errors
    /// When reading images fails, or none of the items can be encoded; what was cached of modal vectors is then made
    /// anew.
    pub(crate) async fn encode(
        &self,
        items: &[Arc<StoredItem>],
    ) -> Result<EncodedItems, EncodingError> {
        self.encode_by(items, |job| job()).await
    }

    /// Encodes items ahead of requests, and gives way to those that are answered meanwhile.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(crate) async fn encode_beside(
        &self,
        items: &[Arc<StoredItem>],
    ) -> Result<EncodedItems, EncodingError> {
        self.encode_by(items, |job| plugrank_background::beside(job)).await
    }

    async fn encode_by(
        &self,
        items: &[Arc<StoredItem>],
        run: impl FnOnce(EncodeJob<'_>) -> Encoded + Send + 'static,
    ) -> Result<EncodedItems, EncodingError> {
        let known = self.known_modal(items).await;
        let items = self.with_content(items, known).await?;
        let schema = Arc::clone(&self.schema);
        let job = move |models: &mut ItemModels| {
            encode_job::encode(models, &schema, &items).map_err(InferenceError::Run)
        };
        let job = move |models: &mut ItemModels| run(Box::new(move || job(models)));
        let encoded = self.full.submit(Deadline::NONE, job).await?;
        EncodingMetrics::add(&self.metrics.bad_images, encoded.bad_images);
        EncodingMetrics::add(&self.metrics.encode_failures, encoded.failed);
        Ok(encoded)
    }

    /// Records of items of which nothing but the id is known, or whose vector is not available.
    pub(crate) async fn missing(&self, ids: Vec<ItemId>) -> Result<Vec<Record>, EncodingError> {
        let schema = Arc::clone(&self.schema);
        let job = move |models: &mut ItemModels| {
            let absent = ModalVector::absent(&schema.modal);
            let features: Vec<_> = ids.iter().map(|id| schema.features.missing_item(id)).collect();
            let rows: Vec<_> =
                features.iter().map(|features| EncoderRow { modal: &absent, features }).collect();
            models.records(&rows).map_err(InferenceError::Run)
        };
        Ok(self.light.submit(Deadline::NONE, job).await?)
    }

    /// Modal vectors that the store has.
    async fn known_modal(&self, items: &[Arc<StoredItem>]) -> Vec<Option<ModalVector>> {
        if self.schema.modal.parts() == 0 {
            return vec![Some(ModalVector::absent(&self.schema.modal)); items.len()];
        }
        let keys: Vec<Vec<u8>> = items.iter().map(|item| modal_key(&item.item)).collect();
        match self.store.vectors(&self.modal_space, &keys).await {
            Ok(found) => {
                let read = |bytes: Vec<u8>| {
                    let vector = ModalVector::from_bytes(&self.schema.modal, &bytes);
                    if vector.is_none() {
                        EncodingMetrics::add(&self.metrics.corrupt_vectors, 1);
                    }
                    vector
                };
                let mut known: Vec<_> = found.into_iter().map(|bytes| read(bytes?)).collect();
                known.resize(items.len(), None);
                known
            }
            Err(error) => {
                EncodingMetrics::add(&self.metrics.store_read_failures, 1);
                tracing::warn!(%error, "modal vectors were not read and are made anew");
                vec![None; items.len()]
            }
        }
    }

    /// Items with their modal vectors, as far as they are known, else with what the encoders read. An image that is
    /// another than when its item was read was written in between.
    async fn with_content(
        &self,
        items: &[Arc<StoredItem>],
        known: Vec<Option<ModalVector>>,
    ) -> Result<Vec<ItemToRun>, EncodingError> {
        let reads_images = self.schema.reads_images();
        let with_image = |(item, known): &(&Arc<StoredItem>, &Option<ModalVector>)| {
            known.is_none() && reads_images && item.item.image_hash.is_some()
        };
        let ids: Vec<ItemId> = items
            .iter()
            .zip(&known)
            .filter(with_image)
            .map(|(item, _)| item.item.item_id.clone())
            .collect();
        let mut images = match ids.is_empty() {
            true => Vec::new(),
            false => self.store.images(&ids).await?,
        }
        .into_iter();
        let mut modal = |item: &Arc<StoredItem>, known: Option<ModalVector>| {
            let reads_image = with_image(&(item, &known));
            if let Some(vector) = known {
                return ModalSource::Known(vector);
            }
            let image = if reads_image { images.next().flatten() } else { None };
            let hash = image.as_deref().map(|bytes| *blake3::hash(bytes).as_bytes());
            if reads_image && hash != item.item.image_hash {
                return ModalSource::Changed;
            }
            ModalSource::Made(Content { text: item.item.encoder_text(), image })
        };
        let run = |(item, known)| ItemToRun { modal: modal(item, known), item: Arc::clone(item) };
        Ok(items.iter().zip(known).map(run).collect())
    }
}
