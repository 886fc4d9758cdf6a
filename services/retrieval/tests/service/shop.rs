//! A small shop on a real store, with item vectors that the tests set.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use plugrank_contract::{
    CallError, Context, Dtype, Event, EventType, Item, ItemId, ItemList, Matrix, TimestampMs,
    embedding::{FetchVectors, FetchedVectors, RecordOrigin},
    retrieval::{ObserveEvents, RefreshItems, Retrieve, Retrieved},
};
use plugrank_items::ItemTable;
use plugrank_retrieval::{
    BuildProgress, LoadTable, RetrievalError, RetrievalOptions, RetrievalParts, RetrievalService,
    load_table, options::Quota,
};
use plugrank_store::{ItemStats, NewItem, Store};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_store_redis::VectorSets;
use plugrank_transport::Service;
use plugrank_vector_engine::RedisVectorEngine;
use tempfile::TempDir;

/// Fake of the embedding service: answers what the test put there.
pub(crate) struct Vectors {
    rows: Mutex<HashMap<ItemId, Vec<f32>>>,
    bundle: Mutex<String>,
    dim: Mutex<usize>,
    failure: Mutex<Option<CallError>>,
    fetched: Mutex<Vec<ItemId>>,
}

impl Vectors {
    pub(crate) fn set(&self, id: &str, vector: &[f32]) {
        self.rows.lock().insert(id.into(), vector.to_vec());
    }

    /// Items whose vectors were asked for since this was last asked.
    pub(crate) fn fetched(&self) -> Vec<ItemId> {
        std::mem::take(&mut *self.fetched.lock())
    }

    pub(crate) fn fail(&self, error: Option<CallError>) {
        *self.failure.lock() = error;
    }

    /// Another bundle, with vectors of another size; the old ones are gone.
    pub(crate) fn activate(&self, bundle: &str, dim: usize) {
        *self.bundle.lock() = bundle.to_owned();
        *self.dim.lock() = dim;
        self.rows.lock().clear();
    }
}

#[async_trait]
impl Service<FetchVectors> for Vectors {
    async fn call(&self, _: Context, call: FetchVectors) -> Result<FetchedVectors, CallError> {
        if let Some(error) = self.failure.lock().clone() {
            return Err(error);
        }
        self.fetched.lock().extend(call.item_ids.iter().cloned());
        let dim = *self.dim.lock();
        let (mut data, mut origins) = (Vec::new(), Vec::new());
        for id in &call.item_ids {
            let known = self.rows.lock().get(id).cloned();
            origins.push(if known.is_some() { RecordOrigin::Store } else { RecordOrigin::Missing });
            let row = known.unwrap_or_else(|| vec![0.5; dim]);
            data.extend(row.iter().flat_map(|x| x.to_le_bytes()));
        }
        let vectors = Matrix::new(call.item_ids.len(), dim, Dtype::F32, data).unwrap();
        Ok(FetchedVectors { bundle: self.bundle.lock().clone(), vectors, origins })
    }
}

/// The shop before retrieval is built over it.
pub(crate) struct Shop {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vectors: Arc<Vectors>,
    pub(crate) engine: Option<VectorSets>,
    pub(crate) options: RetrievalOptions,
    _folder: Option<TempDir>,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.redb");
        let store = Arc::new(EmbeddedStore::open(&file, EmbeddedOptions::default()).unwrap());
        Self { _folder: Some(folder), ..Self::over(store) }
    }

    /// One over a store that others may share.
    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        let vectors = Arc::new(Vectors {
            rows: Mutex::default(),
            bundle: Mutex::new("bundle-1".to_owned()),
            dim: Mutex::new(2),
            failure: Mutex::default(),
            fetched: Mutex::default(),
        });
        Self { store, vectors, engine: None, options: RetrievalOptions::default(), _folder: None }
    }

    /// Puts an item into the store.
    pub(crate) async fn put(&self, item: Item) {
        self.store.put_items(vec![NewItem { item, image: None }]).await.unwrap();
    }

    /// Says how often an item was clicked and shown.
    pub(crate) async fn stats(&self, id: &str, clicks: u64, impressions: u64) {
        let stats = ItemStats { impressions, clicks, ..ItemStats::default() };
        self.store.put_item_stats(vec![(id.into(), stats)]).await.unwrap();
    }

    /// Lets a user click items, one after the other from `from` on.
    pub(crate) async fn clicks(&self, user: &str, items: &[&str], from: TimestampMs) -> Vec<Event> {
        let event = |(n, id): (usize, &&str)| Event {
            event_id: format!("{user}-{id}-{from}-{n}"),
            event_type: EventType::click(),
            user_id: user.into(),
            item_id: ItemId::from(*id),
            value: None,
            request_id: None,
            position: None,
            surface: None,
            timestamp: from + n as i64,
        };
        let events: Vec<Event> = items.iter().enumerate().map(event).collect();
        self.store.append_events(events.clone()).await.unwrap();
        events
    }

    pub(crate) async fn build(&self) -> Result<RetrievalService, RetrievalError> {
        self.build_telling(|_| {}).await
    }

    pub(crate) async fn build_telling(
        &self,
        progress: impl Fn(BuildProgress) + Send + Sync,
    ) -> Result<RetrievalService, RetrievalError> {
        let items = ItemTable::new();
        let bundle = self.vectors.bundle.lock().clone();
        let load = LoadTable {
            store: &self.store,
            items: &items,
            features: Vec::new(),
            bundle: &bundle,
            options: &self.options,
            engine: self.engine.is_some(),
        };
        let parts = RetrievalParts {
            store: self.store.clone(),
            table: load_table(load, |_| {}).await?,
            vectors: self.vectors.clone(),
            engine: self.engine.clone().map(|sets| Box::new(RedisVectorEngine::new(sets)) as _),
            options: self.options.clone(),
        };
        RetrievalService::build(parts, progress).await
    }

    /// Sets a source's share of the candidates.
    pub(crate) fn share(&mut self, source: &str, share: f64) {
        self.options.quotas.insert(source.to_owned(), Quota { share, weight: 1.0 });
    }
}

/// An available item.
pub(crate) fn item(id: &str, categories: &[&str], created_at: Option<TimestampMs>) -> Item {
    Item {
        item_id: id.into(),
        title: format!("Title of {id}"),
        text: String::new(),
        categories: categories.iter().map(|&name| name.to_owned()).collect(),
        created_at,
        available: true,
        image_hash: None,
        features: Default::default(),
    }
}

/// A request for a user's candidates as of 1,000,000, to be explained.
pub(crate) fn request(user: &str, limit: u32) -> Retrieve {
    Retrieve {
        user_id: user.into(),
        limit,
        candidates: None,
        exclude: ItemList::default(),
        shown: Arc::default(),
        context: ItemList::default(),
        recent: None,
        surface: Arc::default(),
        filters: Vec::new(),
        as_of: 1_000_000,
        explain: true,
    }
}

pub(crate) async fn retrieve(service: &RetrievalService, call: Retrieve) -> Retrieved {
    service.call(Context::background(), call).await.unwrap()
}

pub(crate) async fn refresh(service: &RetrievalService, ids: &[&str]) {
    let item_ids = ids.iter().map(|&id| id.into()).collect();
    service.call(Context::background(), RefreshItems { item_ids }).await.unwrap();
}

pub(crate) async fn observe(service: &RetrievalService, events: Vec<Event>) {
    service.call(Context::background(), ObserveEvents { events }).await.unwrap();
}

/// Ids of the candidates, in order.
pub(crate) fn ids(retrieved: &Retrieved) -> Vec<&str> {
    retrieved.candidates.ids().map(ItemId::as_str).collect()
}

/// The candidates that a source named, in order.
pub(crate) fn from<'a>(retrieved: &'a Retrieved, source: &str) -> Vec<&'a str> {
    let named = |at: &usize| retrieved.source_names[*at] == source;
    let place = (0..retrieved.source_names.len()).find(named).unwrap();
    let candidates = ids(retrieved).into_iter().zip(&retrieved.sources);
    candidates
        .filter(|(_, sources)| sources.iter().any(|at| at == place))
        .map(|(id, _)| id)
        .collect()
}

/// The sources that named a candidate.
pub(crate) fn sources<'a>(retrieved: &'a Retrieved, id: &str) -> Vec<&'a str> {
    let at = ids(retrieved).iter().position(|one| *one == id).unwrap();
    retrieved.sources[at].iter().map(|source| &*retrieved.source_names[source]).collect()
}

/// What was left out and why.
pub(crate) fn dropped(retrieved: &Retrieved) -> Vec<(&str, &str)> {
    retrieved.dropped.iter().map(|drop| (drop.item_id.as_str(), &*drop.reason)).collect()
}
