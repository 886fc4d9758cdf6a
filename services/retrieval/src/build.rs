//! Reads the catalog and fills the index of vectors.

use std::sync::Arc;

use plugrank_contract::{CallError, Context, ItemId, embedding::FetchVectors};
use plugrank_store::Store;
use plugrank_transport::Client;

use crate::{
    RetrievalError,
    catalog::{Catalog, ItemIndex, content_of},
    index::{AnnIndex, embedded::Embedded},
    options::AnnOptions,
    state::{Fetched, Indexed, State, fetch_vectors},
};

/// Items that are read, and vectors that are fetched, at a time.
const CHUNK: usize = 1_024;

/// How far the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildProgress {
    /// Items read.
    pub items: u64,
    /// Items there are.
    pub total: u64,
    /// Vectors in the index; items without a vector are left out of it.
    pub indexed: u64,
}

/// The catalog and its index, freshly read.
pub(crate) struct Loaded {
    pub(crate) catalog: Catalog,
    pub(crate) index: Option<Arc<Indexed>>,
}

/// Reads the whole catalog in pages, with the vectors where `client` is to be asked for them. While one page's vectors are added, on all cores, the next
/// page is read and its vectors are fetched.
pub(crate) async fn load(
    store: &dyn Store,
    client: Option<&Client<FetchVectors>>,
    options: &AnnOptions,
    progress: &(dyn Fn(BuildProgress) + Send + Sync),
) -> Result<Loaded, RetrievalError> {
    let total = store.item_count().await?;
    let mut catalog = Catalog::default();
    let mut filler = Filler::new(options, total as usize);
    let (mut after, mut items, mut ready) = (None, 0, None);
    loop {
        let read = read_page(store, client, &mut catalog, after.as_ref());
        let (filled, page) = tokio::join!(filler.fill(ready.take()), read);
        filled?;
        progress(BuildProgress { items, total: total.max(items), indexed: filler.indexed });
        let Some((last, count, fetched)) = page? else { break };
        (after, ready) = (Some(last), fetched);
        items += count as u64;
    }
    Ok(Loaded { catalog, index: filler.indexed() })
}

/// Fills a new index with the vectors of the items that the catalog has now.
pub(crate) async fn reindex(state: &State) -> Result<Option<Arc<Indexed>>, RetrievalError> {
    let (end, count) = {
        let catalog = state.catalog.read();
        (catalog.index_end(), catalog.len())
    };
    let mut filler = Filler::new(&state.options.ann, count);
    let mut ready = None;
    for start in (0..end).step_by(CHUNK) {
        let items: Vec<(ItemIndex, ItemId)> = {
            let catalog = state.catalog.read();
            (start..end.min(start + CHUNK as ItemIndex))
                .filter_map(|index| Some((index, catalog.id(index)?.clone())))
                .filter(|(index, id)| catalog.index_of(id) == Some(*index))
                .collect()
        };
        let read = fetch_vectors(&state.vectors, Context::background(), &items);
        let (filled, fetched) = tokio::join!(filler.fill(ready.take()), read);
        filled?;
        ready = Some(fetched?);
    }
    filler.fill(ready).await?;
    Ok(filler.indexed())
}

type Page = (ItemId, usize, Option<Fetched>);

async fn read_page(
    store: &dyn Store,
    client: Option<&Client<FetchVectors>>,
    catalog: &mut Catalog,
    after: Option<&ItemId>,
) -> Result<Option<Page>, RetrievalError> {
    let page = store.scan_items(after, CHUNK).await?;
    let Some(last) = page.last().map(|stored| stored.item.item_id.clone()) else {
        return Ok(None);
    };
    let ids: Vec<ItemId> = page.iter().map(|stored| stored.item.item_id.clone()).collect();
    let stats = store.item_stats(&ids).await?;
    let mut items: Vec<(ItemIndex, ItemId)> = Vec::with_capacity(page.len());
    for (stored, stats) in page.iter().zip(stats) {
        let met = catalog.index_end();
        let index = catalog.put(&stored.item, stats);
        catalog.set_content(index, content_of(&stored.content));
        // A store may show an item twice when it is written during the scan.
        if index >= met {
            items.push((index, stored.item.item_id.clone()));
        }
    }
    let fetched = match client {
        Some(client) => Some(fetch_vectors(client, Context::background(), &items).await?),
        None => None,
    };
    Ok(Some((last, items.len(), fetched)))
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

    async fn fill(&mut self, fetched: Option<Fetched>) -> Result<(), RetrievalError> {
        let Some(Fetched { bundle, dim, vectors }) = fetched else { return Ok(()) };
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
    fn indexed(self) -> Option<Arc<Indexed>> {
        let (bundle, ann) = self.index?;
        Some(Arc::new(Indexed { bundle, vectors: Arc::new(Embedded::new(ann)) }))
    }
}
