//! The index in this process.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use plugrank_contract::ItemIndex;
use plugrank_items::View;
use tokio::sync::Semaphore;

use super::{
    AnnIndex, IndexSize, Nearest, VectorIndex,
    interests::{self, ClickVectors},
    neighbour_cache::NeighbourCache,
};
use crate::{
    RetrievalError,
    answer::Answer,
    options::AnnOptions,
    query::{Query, Request},
    state::State,
};

/// Vectors up to which a search takes less time than handing it to another thread is worth.
const IN_PLACE: usize = 200_000;

/// An [`AnnIndex`] for many callers at a time. A small one is searched where the caller runs; a
/// large one, and every change, is kept off the threads that wait for sockets.
pub(crate) struct Embedded {
    ann: Arc<AnnIndex>,
    neighbours: Arc<NeighbourCache>,
    /// As many searches at a time as the index has room for.
    turns: Arc<Semaphore>,
}

impl Embedded {
    pub(crate) fn new(ann: Arc<AnnIndex>) -> Self {
        let turns = Arc::new(Semaphore::new(ann.threads()));
        Self { ann, neighbours: Arc::new(NeighbourCache::new()), turns }
    }

    async fn elsewhere(&self, request: Request<'_>, enough: usize) -> Nearest {
        let closed = |_| RetrievalError::Index("retrieval is shutting down".to_owned());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(closed)?;
        let (ann, neighbours) = (Arc::clone(&self.ann), Arc::clone(&self.neighbours));
        let state = Arc::clone(request.state);
        let query = Arc::clone(request.query);
        blocking(move || {
            let _turn = turn;
            search((&ann, &neighbours), &state.options.ann, &query, &state.items.view(), enough)
        })
        .await
    }
}

fn search(
    (ann, neighbours): (&AnnIndex, &NeighbourCache),
    options: &AnnOptions,
    query: &Query,
    view: &View<'_>,
    enough: usize,
) -> Nearest {
    if enough == 0 {
        return Ok(Vec::new());
    }
    // Vectors of clicked items come from the index itself: no call, and the same space for sure.
    let latest = &query.clicks[..query.clicks.len().min(interests::clicks_read(options))];
    let mut clicks = ClickVectors::with_room(ann.dim(), latest.len());
    for (rank, click) in latest.iter().enumerate() {
        if let Some(index) = click.index {
            clicks.add(rank, |row| ann.vector(index, row));
        }
    }
    let wanted = |index: ItemIndex| view.available(index) && !query.blocks(index);
    let searches = interests::searches(&clicks, options, enough);
    let found =
        searches.iter().map(|search| match search.click.and_then(|rank| latest[rank].index) {
            Some(item) => neighbours.nearest(ann, (item, &search.vector), search.count, wanted),
            None => ann.search(&search.vector, search.count, wanted),
        });
    Ok(interests::merge(found.collect::<Result<_, _>>()?, enough))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RetrievalError> + Send + 'static,
) -> Result<T, RetrievalError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RetrievalError::Index(format!("its work ended early: {error}")))?
}

#[async_trait]
impl VectorIndex for Embedded {
    fn size(&self) -> IndexSize {
        IndexSize { vectors: self.ann.len(), bytes: self.ann.memory_bytes() }
    }

    fn has(&self, item: ItemIndex) -> bool {
        self.ann.contains(item)
    }

    fn nearest_to_clicks<'a>(
        self: Arc<Self>,
        request: Request<'a>,
        enough: usize,
    ) -> Answer<'a, Nearest> {
        if self.ann.len() <= IN_PLACE
            && let Ok(_turn) = self.turns.try_acquire()
        {
            let options = &request.state.options.ann;
            let index = (&*self.ann, &*self.neighbours);
            return Answer::Now(search(index, options, request.query, request.view, enough));
        }
        Answer::Later(async move { self.elsewhere(request, enough).await }.boxed())
    }

    async fn replace(
        &self,
        _: &Arc<State>,
        gone: Vec<ItemIndex>,
        vectors: Vec<(ItemIndex, Vec<f32>)>,
    ) -> Result<(), RetrievalError> {
        let (ann, neighbours) = (Arc::clone(&self.ann), Arc::clone(&self.neighbours));
        blocking(move || {
            let replaced = gone.iter().try_for_each(|key| ann.remove(*key)).and_then(|()| {
                vectors.iter().try_for_each(|(key, vector)| ann.put(*key, vector).map(drop))
            });
            neighbours.index_changed();
            replaced
        })
        .await
    }

    fn embedded(&self) -> Option<&Arc<AnnIndex>> {
        Some(&self.ann)
    }
}
