//! Fills the index of vectors.

use std::sync::Arc;

use plugrank_contract::{CallError, Context, ItemId, ItemIndex};
use plugrank_items::{Availability, Content, ItemTable};

use crate::{
    RetrievalError,
    index::{AnnIndex, embedded::Embedded},
    options::AnnOptions,
    state::{Indexed, ItemVectors, RetrievalState, fetch_vectors},
};

/// Items whose vectors are fetched at a time.
const CHUNK: usize = 1_024;

/// How far the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildProgress {
    /// Items whose vectors were asked for.
    pub items: u64,
    /// Items there are.
    pub total: u64,
    /// Vectors in the index; items without a vector are left out of it.
    pub indexed: u64,
}

/// Fills a new index with the vectors of the items that the table has now. While one part of the
/// vectors is added, on all cores, the next is fetched.
pub(crate) async fn reindex(
    state: &RetrievalState,
    progress: &(dyn Fn(BuildProgress) + Send + Sync),
) -> Result<Option<Arc<Indexed>>, RetrievalError> {
    let end = state.items.view().index_end();
    let total = state.items.len();
    let mut filler = Filler::new(&state.options.ann, total);
    let (mut items, mut ready) = (0, None);
    for start in (0..end).step_by(CHUNK) {
        let (contents, asked) = chunk(state, start, end);
        let read = fetch_vectors(&state.vectors, Context::background(), &asked, false);
        let (filled, fetched) = tokio::join!(filler.fill(ready.take()), read);
        filled?;
        ready = Some(fetched?);
        state.indexed.set(contents);
        items += asked.len() as u64;
        progress(BuildProgress { items, total: items.max(total as u64), indexed: filler.indexed });
    }
    filler.fill(ready).await?;
    let indexed = filler.indexed;
    progress(BuildProgress { items, total: items.max(total as u64), indexed });
    Ok(filler.indexed(&state.items))
}

/// Items whose vectors are to be fetched: which content each has, and its id.
pub(crate) type ItemsToFetch = (Vec<(ItemIndex, Content)>, Vec<(ItemIndex, ItemId)>);

/// Content and id of the items that are there, from `start` on.
fn chunk(state: &RetrievalState, start: ItemIndex, end: ItemIndex) -> ItemsToFetch {
    let view = state.items.view();
    (start..end.min(start.saturating_add(CHUNK as ItemIndex)))
        .filter(|index| view.availability(*index) != Availability::Removed)
        .filter_map(|index| Some(((index, view.content(index)), (index, view.id(index)?.clone()))))
        .unzip()
}

/// Fills an index whose dimension is known with the first vectors.
struct Filler<'a> {
    options: &'a AnnOptions,
    capacity: usize,
    /// The bundle that made the vectors, and these.
    index: Option<(String, Arc<AnnIndex>)>,
    indexed: u64,
}

impl<'a> Filler<'a> {
    fn new(options: &'a AnnOptions, items: usize) -> Self {
        // Room to grow by a tenth before memory has to be moved.
        Self { options, capacity: items + items / 10 + CHUNK, index: None, indexed: 0 }
    }

    async fn fill(&mut self, fetched: Option<ItemVectors>) -> Result<(), RetrievalError> {
        let Some(ItemVectors { bundle, dim, vectors }) = fetched else { return Ok(()) };
        if vectors.is_empty() {
            return Ok(());
        }
        let (first, ann) = match &mut self.index {
            Some(index) => index,
            None => {
                let ann = AnnIndex::new(dim, self.capacity, self.options)?;
                self.index.insert((bundle.clone(), Arc::new(ann)))
            }
        };
        if *first != bundle {
            return Err(RetrievalError::Vectors(CallError::unavailable(format!(
                "the bundle changed from {first} to {bundle} while the index was filled; fill it again"
            ))));
        }
        let ann = Arc::clone(ann);
        let added = tokio::task::spawn_blocking(move || ann.fill(&vectors)).await;
        let added = added
            .map_err(|error| RetrievalError::Index(format!("filling it ended early: {error}")))??;
        self.indexed += added as u64;
        Ok(())
    }

    fn indexed(self, items: &Arc<ItemTable>) -> Option<Arc<Indexed>> {
        let (bundle, ann) = self.index?;
        let vectors = Embedded::new(ann, Arc::clone(items), self.options.clone());
        Some(Arc::new(Indexed { bundle, vectors: Arc::new(vectors) }))
    }
}
