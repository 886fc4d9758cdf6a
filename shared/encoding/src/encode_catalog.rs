//! Encodes the whole catalog ahead of requests.

use std::sync::Arc;

use futures::{TryStreamExt, future::Either, stream};
use plugrank_contract::ItemId;
use plugrank_items::ItemTable;
use plugrank_store::StoredItem;

use crate::{
    encoding::Encoding, error::EncodingError, record_key::record_key, record_set::Record,
    table_writer::MadeRecord,
};

/// Items looked at in one read of the store.
const PAGE: usize = 1024;
/// Pages whose records are looked up while the next ones are read.
const PAGES_AT_ONCE: usize = 4;
/// Records that the table takes at a time: publishing them costs about the same for one as for many.
const ROWS_AT_ONCE: usize = 1024;
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
    /// How many could not be encoded, or changed meanwhile; they are encoded when asked for.
    pub failed: u64,
}

/// A part of the catalog that was looked at.
#[derive(Default)]
struct Part {
    seen: u64,
    cached: u64,
    records: Vec<MadeRecord>,
}

impl Encoding {
    /// Encodes every item of the store that has no record yet, and puts all records that fit into
    /// the record table. What an earlier, interrupted run wrote is not made again. `progress` is
    /// called after every batch.
    ///
    /// # Errors
    /// When the store fails. Items that cannot be encoded are counted.
    pub async fn encode_catalog(
        &self,
        progress: &mut (dyn FnMut(CatalogProgress) + Send),
    ) -> Result<CatalogProgress, EncodingError> {
        let total = self.store.item_count().await?;
        let mut so_far = CatalogProgress { total, ..CatalogProgress::default() };
        let mut filling = Filling { room: self.records_table().capacity(), rows: Vec::new() };
        let batch = self.options.encode_batch;
        let pages = stream::try_unfold(None::<ItemId>, |after| async move {
            let page = self.store.scan_items(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(None) };
            let after = last.item.item_id.clone();
            Ok::<_, EncodingError>(Some((page, Some(after))))
        });
        let parts = pages
            .map_ok(|page| self.with_record(page))
            .try_buffer_unordered(PAGES_AT_ONCE)
            .map_ok(|(found, missing)| {
                let batches: Vec<_> =
                    missing.chunks(batch).map(|batch| Either::Right(batch.to_vec())).collect();
                stream::iter([Either::Left(found)].into_iter().chain(batches).map(Ok))
            })
            .try_flatten()
            .map_ok(|part| async move {
                match part {
                    Either::Left(found) => Ok(found),
                    Either::Right(items) => self.encode_batch(&items).await,
                }
            })
            .try_buffer_unordered(self.options.encode_threads * BATCHES_PER_THREAD);
        let mut parts = std::pin::pin!(parts);
        while let Some(part) = parts.try_next().await? {
            let encoded = part.records.len() as u64 - part.cached;
            so_far.seen += part.seen;
            so_far.cached += part.cached;
            so_far.encoded += encoded;
            so_far.failed += part.seen - part.cached - encoded;
            filling.add(self, part.records);
            progress(so_far);
        }
        filling.publish(self);
        Ok(so_far)
    }

    /// The records that the store has for a page of items, and the items without one.
    async fn with_record(
        &self,
        page: Vec<Arc<StoredItem>>,
    ) -> Result<(Part, Vec<Arc<StoredItem>>), EncodingError> {
        let encoded = self.items().encoded();
        let key = |item: &Arc<StoredItem>| record_key(&item.item.item_id, encoded.content(item));
        let keys: Vec<Vec<u8>> = page.iter().map(key).collect();
        let mut found = self.store.vectors(&self.tiers.space, &keys).await?.into_iter();
        let (mut part, mut missing) = (Part::default(), Vec::new());
        for item in page {
            let bytes = found.next().flatten();
            match bytes.filter(|bytes| bytes.len() == self.layout().bytes()) {
                Some(bytes) => part.records.push(made(self.items(), &item, bytes.into())),
                None => missing.push(item),
            }
        }
        part.cached = part.records.len() as u64;
        part.seen = part.cached;
        Ok((part, missing))
    }

    /// Encodes and stores a batch.
    async fn encode_batch(&self, items: &[Arc<StoredItem>]) -> Result<Part, EncodingError> {
        let seen = items.len() as u64;
        let encoder = &self.tiers.queue.core.encoder;
        let encoded = match encoder.encode_beside(items).await {
            Ok(encoded) => encoded,
            Err(EncodingError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, items = items.len(), "items were not encoded");
                return Ok(Part { seen, ..Part::default() });
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
        Ok(Part { seen, cached: 0, records })
    }
}

fn made(table: &ItemTable, item: &StoredItem, record: Record) -> MadeRecord {
    let content = table.encoded().content(item);
    let index = table.view().index_of(item.item.item_id.as_str());
    // The table leaves out records of items that it does not have.
    let item = index.unwrap_or(plugrank_contract::UNKNOWN_ITEM);
    MadeRecord { item, asked: content, content, record }
}

/// Records on their way into the table, as long as it has room for more.
struct Filling {
    room: usize,
    rows: Vec<MadeRecord>,
}

impl Filling {
    fn add(&mut self, encoding: &Encoding, mut records: Vec<MadeRecord>) {
        records.truncate(self.room);
        self.room -= records.len();
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
