//! Encodes the whole catalog ahead of requests.

use std::sync::Arc;

use futures::{StreamExt, stream};
use plugrank_contract::ItemId;
use plugrank_store::StoredItem;

use crate::{
    error::EmbeddingError, memory::Record, record_key::record_key, service::EmbeddingService,
};

/// Items looked at in one read of the store.
const PAGE: usize = 1024;

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

impl EmbeddingService {
    /// Encodes every item of the store that has no record yet, and puts all records that fit into
    /// the in-process tier. What an earlier, interrupted run wrote is not made again. `progress` is
    /// called after every batch.
    ///
    /// # Errors
    /// When the store fails. Items that cannot be encoded are counted.
    pub async fn encode_catalog(
        &self,
        progress: &mut (dyn FnMut(CatalogProgress) + Send),
    ) -> Result<CatalogProgress, EmbeddingError> {
        let total = self.store.item_count().await?;
        let mut so_far = CatalogProgress { total, ..CatalogProgress::default() };
        let mut after: Option<ItemId> = None;
        loop {
            let page = self.store.scan_items(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(so_far) };
            after = Some(last.item.item_id.clone());
            let missing = self.without_record(&page).await?;
            let cached = (page.len() - missing.len()) as u64;
            so_far.seen += cached;
            so_far.cached += cached;
            progress(so_far);
            let batches: Vec<_> =
                missing.chunks(self.options.encode_batch).map(<[_]>::to_vec).collect();
            let encode = |batch: Vec<Arc<StoredItem>>| async move {
                let encoded = self.encode_batch(&batch).await?;
                Ok::<_, EmbeddingError>((batch.len() as u64, encoded))
            };
            let mut batches =
                stream::iter(batches).map(encode).buffer_unordered(self.options.encode_threads);
            while let Some(batch) = batches.next().await {
                let (seen, encoded) = batch?;
                so_far.seen += seen;
                so_far.encoded += encoded;
                so_far.failed += seen - encoded;
                progress(so_far);
            }
        }
    }

    /// The items of a page without a usable record; the others' records go to memory.
    async fn without_record(
        &self,
        page: &[Arc<StoredItem>],
    ) -> Result<Vec<Arc<StoredItem>>, EmbeddingError> {
        let key = |item: &Arc<StoredItem>| record_key(&item.item.item_id, &item.content);
        let keys: Vec<Vec<u8>> = page.iter().map(key).collect();
        let found = self.store.vectors(&self.records.space, &keys).await?;
        let mut missing = Vec::new();
        for (item, record) in page.iter().zip(found) {
            match record.filter(|bytes| bytes.len() == self.records.layout.bytes()) {
                Some(bytes) => self.remember(item, Record::from(bytes)),
                None => missing.push(Arc::clone(item)),
            }
        }
        Ok(missing)
    }

    /// Encodes and stores a batch; how many items of it have a record now.
    async fn encode_batch(&self, batch: &[Arc<StoredItem>]) -> Result<u64, EmbeddingError> {
        let encoded = match self.encoder.encode(batch).await {
            Ok(encoded) => encoded,
            Err(EmbeddingError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, items = batch.len(), "items were not encoded");
                return Ok(0);
            }
        };
        let mut records = Vec::with_capacity(batch.len());
        for (item, record) in batch.iter().zip(encoded.records) {
            if let Some(record) = record {
                let key = record_key(&item.item.item_id, &item.content);
                records.push((key, record.to_vec()));
                self.remember(item, record);
            }
        }
        let count = records.len() as u64;
        if !encoded.modal.is_empty() {
            self.store.put_vectors(self.encoder.modal_space(), encoded.modal).await?;
        }
        self.store.put_vectors(&self.records.space, records).await?;
        Ok(count)
    }

    fn remember(&self, item: &StoredItem, record: Record) {
        self.records.memory.put(item.item.item_id.clone(), item.content, record);
    }
}
