//! Item records through the tiers: in-process, store, encode, missing.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use plugrank_bundle::{ItemRecordLayout, features::FeatureSlot};
use plugrank_contract::{ItemId, embedding::RecordOrigin, item::ContentHash};
use plugrank_store::{Store, StoredItem, VectorSpace};

use crate::{
    encode_queue::EncodeQueue,
    error::EmbeddingError,
    memory::{ItemMemory, Record},
    metrics::EmbeddingMetrics,
    record_key::record_key,
    time_limit::TimeLimit,
};

/// An item asked for, and what the store has of it.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) id: ItemId,
    pub(crate) stored: Option<Arc<StoredItem>>,
}

/// Records of the items asked for, same order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) records: Vec<Record>,
    pub(crate) origins: Vec<RecordOrigin>,
    /// Whether the store did not give its records in time.
    pub(crate) late: bool,
}

/// An item whose record is not in memory, and the places that ask for it.
struct Miss {
    item: Arc<StoredItem>,
    places: Vec<usize>,
}

/// The tiers.
pub(crate) struct Records {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) memory: Arc<ItemMemory>,
    pub(crate) queue: EncodeQueue,
    pub(crate) metrics: Arc<EmbeddingMetrics>,
    pub(crate) layout: ItemRecordLayout,
    pub(crate) space: VectorSpace,
    /// Where the item's own id is among its features, when the bundle reads it.
    pub(crate) id_slot: Option<FeatureSlot>,
    pub(crate) encode_on_miss: bool,
    pub(crate) max_encoded: usize,
    /// The missing record of an id outside the vocabulary: the last resort.
    pub(crate) nameless: OnceLock<Record>,
}

impl Records {
    /// Finds, makes or replaces every record. It always answers: what cannot be had by `limit` is
    /// a missing record, and goes on being encoded behind the call.
    ///
    /// # Errors
    /// Only when not even a missing record can be made.
    pub(crate) async fn resolve(
        &self,
        wanted: &[Wanted],
        limit: TimeLimit,
    ) -> Result<Resolved, EmbeddingError> {
        let mut found: Vec<Option<Record>> = vec![None; wanted.len()];
        let mut origins = vec![RecordOrigin::Missing; wanted.len()];
        let mut take = |places: &[usize], record: &Record, origin| {
            for at in places {
                (found[*at], origins[*at]) = (Some(Arc::clone(record)), origin);
            }
        };
        let mut misses = self.in_memory(wanted, &mut take);
        let mut late = false;
        if !misses.is_empty() {
            (misses, late) = self.in_store(misses, limit, &mut take).await;
        }
        if !misses.is_empty() {
            self.encoded(misses, limit, &mut take).await;
        }
        for (one, origin) in wanted.iter().zip(&origins) {
            self.metrics.origin(*origin, one.stored.is_some());
        }
        let ids: Vec<&ItemId> = wanted.iter().map(|one| &one.id).collect();
        let records = self.filled(&ids, found, limit).await?;
        Ok(Resolved { records, origins, late })
    }

    /// Records as the in-process tier last knew them, and the contents they were made from. What it
    /// does not hold is a missing record.
    ///
    /// # Errors
    /// Only when not even a missing record can be made.
    pub(crate) async fn resolve_held(
        &self,
        ids: &[ItemId],
        limit: TimeLimit,
    ) -> Result<(Resolved, Vec<Option<ContentHash>>), EmbeddingError> {
        let held: Vec<_> = ids.iter().map(|id| self.memory.held(id)).collect();
        let contents = held.iter().map(|held| held.as_ref().map(|(content, _)| *content)).collect();
        let found: Vec<Option<Record>> =
            held.into_iter().map(|held| held.map(|(_, record)| record)).collect();
        let origin = |record: &Option<Record>| match record {
            Some(_) => RecordOrigin::Memory,
            None => RecordOrigin::Missing,
        };
        let origins: Vec<RecordOrigin> = found.iter().map(origin).collect();
        origins.iter().for_each(|origin| self.metrics.origin(*origin, true));
        let records = self.filled(&ids.iter().collect::<Vec<_>>(), found, limit).await?;
        Ok((Resolved { records, origins, late: false }, contents))
    }

    fn in_memory(
        &self,
        wanted: &[Wanted],
        take: &mut impl FnMut(&[usize], &Record, RecordOrigin),
    ) -> Vec<Miss> {
        let mut misses: Vec<Miss> = Vec::new();
        let mut by_id: HashMap<&ItemId, usize> = HashMap::new();
        for (at, one) in wanted.iter().enumerate() {
            let Some(item) = &one.stored else { continue };
            if let Some(record) = self.memory.record(&one.id, &item.content) {
                take(&[at], &record, RecordOrigin::Memory);
                continue;
            }
            let miss = *by_id.entry(&one.id).or_insert_with(|| {
                misses.push(Miss { item: Arc::clone(item), places: Vec::new() });
                misses.len() - 1
            });
            misses[miss].places.push(at);
        }
        misses
    }

    async fn in_store(
        &self,
        misses: Vec<Miss>,
        limit: TimeLimit,
        take: &mut impl FnMut(&[usize], &Record, RecordOrigin),
    ) -> (Vec<Miss>, bool) {
        let key = |miss: &Miss| record_key(&miss.item.item.item_id, &miss.item.content);
        let keys: Vec<Vec<u8>> = misses.iter().map(key).collect();
        let read = match limit.within(self.store.vectors(&self.space, &keys)).await {
            Some(Ok(read)) => read,
            Some(Err(error)) => {
                EmbeddingMetrics::add(&self.metrics.store_read_failures, 1);
                tracing::warn!(%error, "cached records were not read");
                return (misses, true);
            }
            None => {
                EmbeddingMetrics::add(&self.metrics.store_read_failures, 1);
                return (misses, true);
            }
        };
        let mut read = read.into_iter();
        let mut rest = Vec::new();
        for miss in misses {
            match read.next().flatten() {
                Some(bytes) if bytes.len() == self.layout.bytes() => {
                    let record = Record::from(bytes);
                    let id = miss.item.item.item_id.clone();
                    self.memory.put(id, miss.item.content, Arc::clone(&record));
                    take(&miss.places, &record, RecordOrigin::Store);
                }
                other => {
                    EmbeddingMetrics::add(
                        &self.metrics.corrupt_vectors,
                        usize::from(other.is_some()),
                    );
                    rest.push(miss);
                }
            }
        }
        (rest, false)
    }

    async fn encoded(
        &self,
        misses: Vec<Miss>,
        limit: TimeLimit,
        take: &mut impl FnMut(&[usize], &Record, RecordOrigin),
    ) {
        let fit = match limit.left() {
            _ if !self.encode_on_miss => 0,
            None => misses.len(),
            Some(left) => self.queue.fit(left).min(self.max_encoded),
        };
        let mut flights = Vec::new();
        for (number, miss) in misses.iter().enumerate() {
            if number >= fit {
                self.queue.later(&miss.item);
                continue;
            }
            let flight = self.queue.for_call(&miss.item, limit.left().is_none()).await;
            flights.extend(flight.map(|flight| (miss, flight)));
        }
        for (miss, flight) in flights {
            // A limit that has passed still takes what is ready by then.
            if let Some(Ok(Some(record))) = limit.within(flight).await {
                take(&miss.places, &record, RecordOrigin::Encoded);
            }
        }
    }

    /// What was found, and missing records in the place of what was not.
    async fn filled(
        &self,
        ids: &[&ItemId],
        mut found: Vec<Option<Record>>,
        limit: TimeLimit,
    ) -> Result<Vec<Record>, EmbeddingError> {
        let mut unmade: HashMap<i64, (ItemId, Vec<usize>)> = HashMap::new();
        for (at, item) in ids.iter().enumerate() {
            if found[at].is_some() {
                continue;
            }
            let id = self.vocabulary_id(item);
            match self.memory.missing(id) {
                Some(record) => found[at] = Some(record),
                None => unmade.entry(id).or_insert_with(|| ((*item).clone(), vec![])).1.push(at),
            }
        }
        if !unmade.is_empty() {
            self.make_missing(unmade, &mut found, limit).await?;
        }
        let records: Vec<Record> = found.into_iter().flatten().collect();
        if records.len() != ids.len() {
            let message = format!("{} records for {} items", records.len(), ids.len());
            return Err(EmbeddingError::Encode(message));
        }
        Ok(records)
    }

    async fn make_missing(
        &self,
        unmade: HashMap<i64, (ItemId, Vec<usize>)>,
        found: &mut [Option<Record>],
        limit: TimeLimit,
    ) -> Result<(), EmbeddingError> {
        let names = unmade.values().map(|(name, _)| name.clone()).collect();
        let made = limit.within(self.queue.core.encoder.missing(names)).await;
        match (made, self.nameless.get()) {
            (Some(Ok(made)), _) => {
                for ((id, (_, places)), record) in unmade.into_iter().zip(made) {
                    self.memory.put_missing(id, Arc::clone(&record));
                    places.into_iter().for_each(|at| found[at] = Some(Arc::clone(&record)));
                }
            }
            // No time even for that: as if the id were outside the vocabulary.
            (_, Some(nameless)) => {
                for at in unmade.into_values().flat_map(|(_, places)| places) {
                    found[at] = Some(Arc::clone(nameless));
                }
            }
            (Some(Err(error)), None) => return Err(error),
            (None, None) => {
                return Err(EmbeddingError::Encode("no time for a missing record".to_owned()));
            }
        }
        Ok(())
    }

    fn vocabulary_id(&self, id: &ItemId) -> i64 {
        let features = &self.queue.core.encoder.schema.features;
        match &self.id_slot {
            None => 0,
            Some(slot) => features.missing_item(id).get(slot.offset).copied().unwrap_or(0),
        }
    }
}
