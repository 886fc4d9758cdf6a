//! Encodes the whole catalog ahead of requests.

use std::{pin::pin, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use plugrank_contract::{ItemId, ItemIndex, UNKNOWN_ITEM};
use plugrank_items::{Availability, ItemTable};
use plugrank_store::StoredItem;

use crate::{
    encoding::Encoding,
    error::EncodingError,
    record_key::record_key,
    record_set::Record,
    stored_records::{Keeper, StoredRecords},
    table_writer::MadeRecord,
};

/// Items that are read to be encoded at a time.
const PAGE: usize = 1_024;
/// Pages that are read ahead of those that are encoded.
const PAGES_AT_ONCE: usize = 2;
/// Records that the table takes at a time: publishing them costs about the same for one as for many.
const ROWS_AT_ONCE: usize = 1_024;
/// Batches under way for each thread that encodes, so that none waits for the store.
const BATCHES_PER_THREAD: usize = 2;

/// What encoding the catalog came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatalogProgress {
    /// Items of the catalog looked at so far.
    pub seen: u64,
    /// Items in the catalog when the work began.
    pub total: u64,
    /// Of those seen, how many had a record already.
    pub cached: u64,
    /// How many were encoded.
    pub encoded: u64,
    /// How many could not be encoded, or are gone; they are encoded when asked for.
    pub failed: u64,
}

/// Items that were to be encoded.
struct EncodedPart {
    seen: u64,
    records: Vec<MadeRecord>,
}

impl Encoding {
    /// Reads the records that the store has of the items in the table, and encodes the items that have none; all
    /// records that fit are in the record table then. What an earlier, interrupted run wrote is not made again.
    /// Items that are in the store and not in the table yet are left to those who bring the table up to date.
    /// `progress` is called after every batch.
    ///
    /// # Errors
    /// When the store fails. Items that cannot be encoded are counted.
    pub async fn encode_catalog(
        &self,
        progress: &mut (dyn FnMut(CatalogProgress) + Send),
    ) -> Result<CatalogProgress, EncodingError> {
        let total = self.items().len() as u64;
        let mut so_far = CatalogProgress { total, ..CatalogProgress::default() };
        let keeper = Keeper::new(Arc::clone(self.items()), Arc::clone(self.records_table()));
        let stored = StoredRecords {
            store: &self.store,
            space: &self.tiers.space,
            items: self.items(),
            keeper: Arc::clone(&keeper),
        };
        let mut found = vec![false; self.items().view().index_end() as usize];
        let mut mark = |items: &[ItemIndex]| {
            // One that is written meanwhile may be beyond the end, and one whose content changes may be met twice.
            let new = items.iter().filter(|item| {
                found.get_mut(**item as usize).is_some_and(|found| !std::mem::replace(found, true))
            });
            so_far.cached += new.count() as u64;
            so_far.seen = so_far.cached;
            progress(so_far);
        };
        stored.read(&mut mark).await?;
        let missing = missing(self.items(), &found);
        drop(found);
        if missing.is_empty() {
            return Ok(so_far);
        }
        let mut filling = Filling { keeper, rows: Vec::new() };
        let batch = self.options.encode_batch;
        let pages = stream::iter(missing.chunks(PAGE)).map(|ids| self.store.items(ids));
        let parts = pages
            .buffered(PAGES_AT_ONCE)
            .map_err(EncodingError::from)
            .map_ok(|page| {
                let batches: Vec<_> = page.chunks(batch).map(<[_]>::to_vec).map(Ok).collect();
                stream::iter(batches)
            })
            .try_flatten()
            .map_ok(|items| self.encode_batch(items))
            .try_buffer_unordered(self.options.encode_threads * BATCHES_PER_THREAD);
        let mut parts = pin!(parts);
        while let Some(EncodedPart { seen, records }) = parts.try_next().await? {
            let encoded = records.len() as u64;
            so_far.seen += seen;
            so_far.encoded += encoded;
            so_far.failed += seen - encoded;
            filling.add(self, records);
            progress(so_far);
        }
        filling.publish(self);
        Ok(so_far)
    }

    /// Encodes and stores a batch; of those that are gone there is nothing to encode.
    async fn encode_batch(
        &self,
        items: Vec<Option<Arc<StoredItem>>>,
    ) -> Result<EncodedPart, EncodingError> {
        let seen = items.len() as u64;
        let items: Vec<Arc<StoredItem>> = items.into_iter().flatten().collect();
        let encoder = &self.tiers.queue.core.encoder;
        let encoded = match encoder.encode_beside(&items).await {
            Ok(encoded) => encoded,
            Err(EncodingError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, items = items.len(), "items were not encoded");
                return Ok(EncodedPart { seen, records: Vec::new() });
            }
        };
        let (mut stored, mut records) = (Vec::new(), Vec::new());
        for (item, record) in items.iter().zip(encoded.records) {
            let Some(record) = record else { continue };
            let key = record_key(&item.item.item_id, self.items().encoded().content(item));
            stored.push((key, record.to_vec()));
            records.push(made(self.items(), item, record));
        }
        if !encoded.modal.is_empty() {
            self.store.put_vectors(encoder.modal_space(), encoded.modal).await?;
        }
        self.store.put_vectors(&self.tiers.space, stored).await?;
        Ok(EncodedPart { seen, records })
    }
}

/// Ids of the items without a record.
fn missing(items: &ItemTable, found: &[bool]) -> Vec<ItemId> {
    let view = items.view();
    let lacks = |(index, found): &(ItemIndex, &bool)| {
        !**found && view.availability(*index) != Availability::Removed
    };
    let lacking = (0..).zip(found).filter(lacks);
    lacking.filter_map(|(index, _)| view.id(index).cloned()).collect()
}

fn made(table: &ItemTable, item: &StoredItem, record: Record) -> MadeRecord {
    let content = table.encoded().content(item);
    let index = table.view().index_of(item.item.item_id.as_str());
    // The table leaves out records of items that it does not have.
    MadeRecord { item: index.unwrap_or(UNKNOWN_ITEM), asked: content, content, record }
}

/// Records on their way into the table, as long as it has room for more.
struct Filling {
    keeper: Arc<Keeper>,
    rows: Vec<MadeRecord>,
}

impl Filling {
    fn add(&mut self, encoding: &Encoding, mut records: Vec<MadeRecord>) {
        records.truncate(self.keeper.take_room(records.len()));
        self.rows.append(&mut records);
        if self.rows.len() >= ROWS_AT_ONCE {
            self.publish(encoding);
        }
    }

    fn publish(&mut self, encoding: &Encoding) {
        encoding.tiers.table.put(&self.rows);
        self.rows.clear();
    }
}
