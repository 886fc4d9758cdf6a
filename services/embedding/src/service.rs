//! Calls of the role.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, Deadline, Dtype, ItemId, ItemList, Matrix,
    embedding::{Fetch, FetchVectors, Fetched, FetchedVectors, Invalidate, RecordOrigin, Tiers},
};
use plugrank_encoding::{Encoding, RecordSet};
use plugrank_transport::Service;

/// Answers calls out of an [`Encoding`].
pub struct EmbeddingService {
    encoding: Arc<Encoding>,
}

impl EmbeddingService {
    /// The role of this library.
    #[must_use]
    pub fn new(encoding: Arc<Encoding>) -> Self {
        Self { encoding }
    }

    /// What encodes and caches.
    #[must_use]
    pub fn encoding(&self) -> &Arc<Encoding> {
        &self.encoding
    }

    /// Reads items again that the caller may know more of than this process: those that changed, and
    /// those that the table here does not have.
    async fn read_again(&self, call: &FetchVectors) -> Result<(), CallError> {
        let view = self.encoding.items().view();
        let behind = |id: &&ItemId| call.changed || view.index_of(id.as_str()).is_none();
        let ids: Vec<ItemId> = call.item_ids.iter().filter(behind).cloned().collect();
        drop(view);
        if ids.is_empty() {
            return Ok(());
        }
        let read = self.encoding.items().refresh(self.encoding.store().as_ref(), &ids).await;
        read.map_err(|error| CallError::unavailable(format!("items were not read: {error}")))?;
        Ok(())
    }

    fn answer_by(&self, context: &Context) -> Result<Deadline, CallError> {
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before the fetch was begun"));
        }
        Ok(self.encoding.options().before(context.deadline))
    }
}

#[async_trait]
impl Service<Fetch> for EmbeddingService {
    async fn call(&self, context: Context, call: Fetch) -> Result<Fetched, CallError> {
        let answer_by = self.answer_by(&context)?;
        let encoding = &self.encoding;
        let Fetch { items, user, tiers } = call;
        let items = items.resolve(encoding.items());
        let (records, user, late) = match user {
            None => {
                let mut records = encoding.records(&items, answer_by, tiers).await?;
                let late = records.late.take();
                (records, None, late)
            }
            Some(asked) => {
                let user = (&asked.user_id, &asked.user);
                let inputs =
                    encoding.unified_inputs(&items, user, asked.as_of, answer_by, tiers).await?;
                (inputs.records, Some(inputs.user.to_wire()?), inputs.late)
            }
        };
        let block = records.to_matrix(encoding.layout());
        Ok(Fetched {
            bundle: encoding.version().to_owned(),
            items: block.map_err(|error| CallError::internal(error.to_string()))?,
            origins: origins(&records),
            user,
            late,
        })
    }
}

#[async_trait]
impl Service<FetchVectors> for EmbeddingService {
    async fn call(
        &self,
        context: Context,
        call: FetchVectors,
    ) -> Result<FetchedVectors, CallError> {
        let answer_by = self.answer_by(&context)?;
        self.read_again(&call).await?;
        let bundle = self.encoding.version().to_owned();
        let layout = self.encoding.layout();
        let Some(part) = layout.vector() else { return no_vectors(bundle, call.item_ids.len()) };
        let items = ItemList::named(call.item_ids).resolve(self.encoding.items());
        let records = self.encoding.records(&items, answer_by, Tiers::All).await?;
        let mut data = Vec::with_capacity(records.len() * part.dim * layout.dtype.size());
        records
            .rows(0..records.len())
            .for_each(|record| data.extend_from_slice(layout.slice(part, record)));
        let vectors = Matrix::new(records.len(), part.dim, layout.dtype, data)
            .map_err(|error| CallError::internal(error.to_string()))?;
        Ok(FetchedVectors { bundle, vectors, origins: origins(&records) })
    }
}

#[async_trait]
impl Service<Invalidate> for EmbeddingService {
    async fn call(&self, _: Context, call: Invalidate) -> Result<(), CallError> {
        let applied = self.encoding.invalidate(&call.item_ids).await;
        applied.map_err(|error| CallError::unavailable(format!("items were not read: {error}")))?;
        Ok(())
    }
}

/// The answer of a bundle by whose vectors items are not found: none of them has one.
fn no_vectors(bundle: String, items: usize) -> Result<FetchedVectors, CallError> {
    let vectors = Matrix::new(items, 1, Dtype::F32, vec![0; items * size_of::<f32>()])
        .map_err(|error| CallError::internal(error.to_string()))?;
    Ok(FetchedVectors { bundle, vectors, origins: vec![RecordOrigin::Missing; items] })
}

fn origins(records: &RecordSet) -> Vec<RecordOrigin> {
    (0..records.len()).map(|position| records.origin(position)).collect()
}
