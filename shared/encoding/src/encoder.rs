//! Makes records of items: modal vectors from the store or the encoders, then the item encoder.

use std::sync::Arc;

use plugrank_bundle::Bundle;
use plugrank_contract::{Deadline, ItemId};
use plugrank_inference::{InferenceError, Library, SessionOptions, worker_pool::WorkerPool};
use plugrank_store::{Store, StoredItem, VectorSpace};

use crate::{
    error::EncodingError,
    item_models::{Content, EncoderRow, ItemModels, ItemSchema},
    metrics::EncodingMetrics,
    modal::ModalVector,
    modal_key::modal_key,
    options::EncodingOptions,
    record_set::Record,
    write_back::Vectors,
};

/// Jobs that may wait for the threads; callers bound what they have under way themselves.
const WAITING_JOBS: usize = 4096;

/// What an encoding of several items gave.
#[derive(Debug)]
pub(crate) struct EncodedItems {
    /// Same order; `None` for an item whose content changed meanwhile.
    pub(crate) records: Vec<Option<Record>>,
    /// Modal vectors that were made and not read, ready to be stored.
    pub(crate) modal: Vectors,
}

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
    /// When a graph or reading images fails; what was cached of modal vectors is then made anew.
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
        let mut known = self.known_modal(items).await;
        let unknown: Vec<usize> = (0..items.len()).filter(|at| known[*at].is_none()).collect();
        let (contents, changed) = self.contents(items, &unknown).await?;
        let items: Vec<Arc<StoredItem>> = items.to_vec();
        let schema = Arc::clone(&self.schema);
        let metrics = Arc::clone(&self.metrics);
        let job = move |models: &mut ItemModels| {
            let (made, bad) = models.modal(contents).map_err(InferenceError::Run)?;
            EncodingMetrics::add(&metrics.bad_images, bad);
            let mut modal = Vectors::new();
            for (at, vector) in unknown.iter().zip(made) {
                if !changed.contains(at) {
                    modal.push((modal_key(&items[*at].item), vector.to_bytes()));
                }
                known[*at] = Some(vector);
            }
            let absent = ModalVector::absent(&schema.modal);
            let features: Vec<_> =
                items.iter().map(|item| schema.features.item(&item.item)).collect();
            let rows: Vec<EncoderRow<'_>> = known
                .iter()
                .zip(&features)
                .map(|(vector, features)| EncoderRow {
                    modal: vector.as_ref().unwrap_or(&absent),
                    features,
                })
                .collect();
            let records = models.records(&rows).map_err(InferenceError::Run)?.into_iter();
            let unchanged = |(at, record)| (!changed.contains(&at)).then_some(record);
            let records = records.enumerate().map(unchanged).collect();
            Ok(EncodedItems { records, modal })
        };
        let job = move |models: &mut ItemModels| run(Box::new(move || job(models)));
        Ok(self.full.submit(Deadline::NONE, job).await?)
    }

    /// Records of items of which nothing but the id is known, or whose vector is not at hand.
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

    /// What the encoders read of the items at `places`; and the places of items whose image is
    /// another than when they were read, because they were written in between.
    async fn contents(
        &self,
        items: &[Arc<StoredItem>],
        places: &[usize],
    ) -> Result<(Vec<Content>, Vec<usize>), EncodingError> {
        let with_image: Vec<usize> = places
            .iter()
            .copied()
            .filter(|at| self.schema.reads_images() && items[*at].item.image_hash.is_some())
            .collect();
        let mut images = vec![None; items.len()];
        let mut changed = Vec::new();
        if !with_image.is_empty() {
            let ids: Vec<ItemId> =
                with_image.iter().map(|at| items[*at].item.item_id.clone()).collect();
            let read = self.store.images(&ids).await?;
            for (at, bytes) in with_image.into_iter().zip(read) {
                let hash = bytes.as_deref().map(|bytes| *blake3::hash(bytes).as_bytes());
                if hash == items[at].item.image_hash {
                    images[at] = bytes;
                } else {
                    changed.push(at);
                }
            }
        }
        let content = |at: &usize| Content {
            text: items[*at].item.encoder_text(),
            image: images[*at].take(),
        };
        Ok((places.iter().map(content).collect(), changed))
    }
}
