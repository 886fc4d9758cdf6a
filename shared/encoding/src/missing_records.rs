//! Missing records: what stands in for the record of an item whose content is not available.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use plugrank_bundle::{Bundle, FeatureEncoder, features::FeatureSlot};
use plugrank_contract::{Deadline, ItemId};
use plugrank_items::FeatureRows;
use quick_cache::{Weighter, sync::Cache};
use tokio::runtime::Handle;

use crate::{encoder::Encoder, error::EncodingError, record_set::Record};

/// What a cache entry takes beside its value, roughly: key, pointers and the cache's bookkeeping.
pub(crate) const ENTRY_OVERHEAD: usize = 160;

/// A hash map's hasher.
pub(crate) type Hasher = foldhash::fast::RandomState;

/// Weighs a record by its bytes.
#[derive(Clone)]
struct RecordBytes;

impl Weighter<u32, Record> for RecordBytes {
    fn weight(&self, _: &u32, record: &Record) -> u64 {
        (record.len() + ENTRY_OVERHEAD) as u64
    }
}

/// Makes and keeps missing records. All that they depend on is the item's id in the vocabulary of
/// ids: items outside it, and all items of a bundle that reads no id, share one.
pub(crate) struct MissingRecords {
    encoder: Arc<Encoder>,
    features: Arc<FeatureEncoder>,
    runtime: Handle,
    kept: Cache<u32, Record, RecordBytes>,
    /// Where the item's own id is among its features, when the bundle reads it.
    id_slot: Option<FeatureSlot>,
    /// The record of an id outside the vocabulary: the last resort.
    of_unknown: OnceLock<Record>,
    /// Whether some are being made behind a call.
    making: AtomicBool,
}

/// An item that needs a missing record.
pub(crate) struct MissingRecordKey {
    /// Its id in the vocabulary.
    pub(crate) vocabulary_id: u32,
    pub(crate) id: ItemId,
}

/// Missing records, in the order asked for.
pub(crate) struct MadeMissing {
    pub(crate) records: Vec<Record>,
    /// Whether the record of an id outside the vocabulary stands in for another.
    pub(crate) stand_in: bool,
}

/// An id with a line break is in no vocabulary, which has one value a line.
const UNKNOWN_ITEM_ID: &str = "\n";

impl MissingRecords {
    pub(crate) fn new(
        bundle: &Bundle,
        features: Arc<FeatureEncoder>,
        encoder: Arc<Encoder>,
        runtime: Handle,
        bytes: u64,
    ) -> Arc<Self> {
        let item_features = &bundle.manifest().features.item;
        let id_feature = item_features.iter().find(|feature| feature.column() == Some("item_id"));
        let id_slot = id_feature.and_then(|feature| {
            features.item_slots().iter().find(|slot| slot.name == feature.name).cloned()
        });
        let record_bytes = (bundle.record().bytes() + ENTRY_OVERHEAD) as u64;
        let kept = Cache::with_weighter((bytes / record_bytes) as usize, bytes, RecordBytes);
        let (of_unknown, making) = (OnceLock::new(), AtomicBool::new(false));
        Arc::new(Self { encoder, features, runtime, kept, id_slot, of_unknown, making })
    }

    /// Makes the record of an id outside the vocabulary, and keeps it.
    pub(crate) async fn warm_up(&self) -> Result<(), EncodingError> {
        let unknown = ItemId::from(UNKNOWN_ITEM_ID);
        let record = self.encoder.missing(vec![unknown.clone()]).await?.into_iter().next();
        let record = record.ok_or_else(|| EncodingError::Encode("no record".to_owned()))?;
        let id = self.vocabulary_id(None, &unknown);
        self.kept.insert(id, Arc::clone(&record));
        // A second warm-up finds the first one's record, which is the same.
        let _ = self.of_unknown.set(record);
        Ok(())
    }

    /// Whether they depend on the items' ids.
    pub(crate) fn reads_ids(&self) -> bool {
        self.id_slot.is_some()
    }

    /// An item's id in the vocabulary; `row` are its encoded features, where it has any.
    pub(crate) fn vocabulary_id(&self, row: Option<&[u32]>, id: &ItemId) -> u32 {
        let Some(slot) = &self.id_slot else { return 0 };
        if let Some(encoded) = row.and_then(|row| row.get(slot.offset)).filter(|id| **id != 0) {
            return *encoded;
        }
        self.features.missing_item(id).get(slot.offset).copied().unwrap_or(0)
    }

    /// What an item needs.
    pub(crate) fn wanted(
        &self,
        features: &FeatureRows,
        index: u32,
        id: &ItemId,
    ) -> MissingRecordKey {
        let vocabulary_id = self.vocabulary_id(features.row(index), id);
        MissingRecordKey { vocabulary_id, id: id.clone() }
    }

    /// Any item of a bundle that reads no id.
    pub(crate) fn any_item() -> MissingRecordKey {
        MissingRecordKey { vocabulary_id: 0, id: ItemId::from(UNKNOWN_ITEM_ID) }
    }

    /// Records of items. Those that are not kept are made, by `deadline` if there is one that can be
    /// waited for; else behind the call, and another stands in.
    ///
    /// # Errors
    /// Before the first warm-up, when they cannot be made.
    pub(crate) async fn records(
        self: &Arc<Self>,
        wanted: &[MissingRecordKey],
        deadline: Deadline,
        wait: bool,
    ) -> Result<MadeMissing, EncodingError> {
        let mut found: Vec<Option<Record>> =
            wanted.iter().map(|one| self.kept.get(&one.vocabulary_id)).collect();
        let mut unmade: Vec<&MissingRecordKey> = wanted
            .iter()
            .zip(&found)
            .filter(|(_, kept)| kept.is_none())
            .map(|(one, _)| one)
            .collect();
        let mut stand_in = false;
        if !unmade.is_empty() {
            unmade.sort_unstable_by_key(|one| one.vocabulary_id);
            unmade.dedup_by_key(|one| one.vocabulary_id);
            let (keys, ids): (Vec<u32>, Vec<ItemId>) =
                unmade.iter().map(|one| (one.vocabulary_id, one.id.clone())).unzip();
            let of_unknown = self.of_unknown.get();
            let made = match of_unknown {
                Some(_) if !wait => {
                    self.make_behind(keys.clone(), ids);
                    None
                }
                _ => deadline.limit(self.make(&keys, ids)).await,
            };
            let made = match (made, of_unknown) {
                (Some(Ok(made)), _) => made,
                // No time even for that: as if the ids were outside the vocabulary.
                (_, Some(of_unknown)) => {
                    stand_in = true;
                    vec![Arc::clone(of_unknown); keys.len()]
                }
                (Some(Err(error)), None) => return Err(error),
                (None, None) => {
                    return Err(EncodingError::Encode("no time for a missing record".to_owned()));
                }
            };
            for (one, record) in wanted.iter().zip(&mut found) {
                if record.is_none() {
                    let at = keys.binary_search(&one.vocabulary_id).ok();
                    *record = at.and_then(|at| made.get(at)).map(Arc::clone);
                }
            }
        }
        let records: Vec<Record> = found.into_iter().flatten().collect();
        if records.len() != wanted.len() {
            let message = format!("{} missing records for {}", records.len(), wanted.len());
            return Err(EncodingError::Encode(message));
        }
        Ok(MadeMissing { records, stand_in })
    }

    /// Bytes kept, as weighed.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.weight()
    }

    async fn make(&self, keys: &[u32], ids: Vec<ItemId>) -> Result<Vec<Record>, EncodingError> {
        let made = self.encoder.missing(ids).await?;
        for (key, record) in keys.iter().zip(&made) {
            self.kept.insert(*key, Arc::clone(record));
        }
        Ok(made)
    }

    /// Makes some for the calls to come, unless others are being made.
    fn make_behind(self: &Arc<Self>, keys: Vec<u32>, ids: Vec<ItemId>) {
        if self.making.swap(true, Ordering::AcqRel) {
            return;
        }
        let own = Arc::clone(self);
        self.runtime.spawn(async move {
            let made = own.make(&keys, ids).await;
            own.making.store(false, Ordering::Release);
            if let Err(error) = made {
                tracing::warn!(%error, "missing records were not made");
            }
        });
    }
}
