//! The index in this process.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use plugrank_contract::ItemIndex;
use plugrank_items::{ItemTable, View};
use tokio::sync::{AcquireError, Semaphore};

use super::{
    AnnIndex, IndexSize, Nearest, Neighbours, VectorIndex,
    interests::{self, ClickVectors},
    neighbour_cache::NeighbourCache,
};
use crate::{
    RetrievalError, answer::Answer, merge::RankedLists, narrowed::Narrowed, options::AnnOptions,
    query::RetrievalQuery,
};

/// Vectors up to which a search takes less time than handing it to another thread is worth.
const IN_PLACE: usize = 200_000;

/// An [`AnnIndex`] for many callers at a time. A small one is searched where the caller runs; a
/// large one, and every change, is kept off the threads that wait for sockets.
pub(crate) struct Embedded {
    ann: Arc<AnnIndex>,
    /// The items that its keys are of.
    items: Arc<ItemTable>,
    options: AnnOptions,
    neighbours: Arc<NeighbourCache>,
    /// As many searches at a time as the index has room for.
    turns: Arc<Semaphore>,
}

impl Embedded {
    pub(crate) fn new(ann: Arc<AnnIndex>, items: Arc<ItemTable>, options: AnnOptions) -> Self {
        let turns = Arc::new(Semaphore::new(ann.threads()));
        Self { ann, items, options, neighbours: Arc::new(NeighbourCache::new()), turns }
    }

    /// Searches on a thread for blocking work, when there is room.
    async fn search_blocking(
        self: Arc<Self>,
        query: Arc<RetrievalQuery>,
        enough: usize,
    ) -> Nearest {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(closed)?;
        blocking(move || {
            let _turn = turn;
            self.search(&query, &self.items.view(), enough)
        })
        .await
    }

    fn near(&self, item: ItemIndex, query: &RetrievalQuery, view: &View<'_>) -> Neighbours {
        let mut vector = vec![0.0; self.ann.dim()];
        if !self.ann.vector(item, &mut vector) {
            return Ok(None);
        }
        let count = query.limit;
        let narrowed = query.narrowed.as_ref().map(Narrowed::matching);
        let found = match narrowed.filter(|few| self.ann.scan_is_shorter(few.len(), count)) {
            Some(few) => {
                let wanted = few.iter().filter(|index| !query.blocks(*index));
                self.ann.scan(&[(&vector, count)], wanted).swap_remove(0)
            }
            None => {
                let wanted = |index| view.available(index) && !query.blocks(index);
                self.ann.search(&vector, count, wanted)?
            }
        };
        let mut row = vec![0.0; self.ann.dim()];
        let mut with_cosine = |index: ItemIndex| {
            let cosine = |row: &[f32]| row.iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>();
            self.ann.vector(index, &mut row).then(|| (index, cosine(&row)))
        };
        Ok(Some(found.into_iter().filter_map(&mut with_cosine).collect()))
    }

    fn search(&self, query: &RetrievalQuery, view: &View<'_>, enough: usize) -> Nearest {
        if enough == 0 {
            return Ok(Vec::new());
        }
        // Vectors of clicked items come from the index itself: no call, and the same space for sure.
        let latest = &query.clicks[..query.clicks.len().min(interests::clicks_read(&self.options))];
        let mut clicks = ClickVectors::with_room(self.ann.dim(), latest.len());
        for (rank, click) in latest.iter().enumerate() {
            if let Some(index) = click.index {
                clicks.add(rank, |row| self.ann.vector(index, row));
            }
        }
        if let Some(narrowed) = &query.narrowed
            && self.ann.scan_is_shorter(narrowed.matching().len(), enough)
        {
            let searches = interests::searches(&clicks, &self.options, enough);
            let wanted = narrowed.matching().iter().filter(|index| !query.blocks(*index));
            let queries: Vec<_> =
                searches.iter().map(|search| (&*search.vector, search.count)).collect();
            return Ok(interests::merge(&self.ann.scan(&queries, wanted), enough));
        }
        let wanted = |index: ItemIndex| view.available(index) && !query.blocks(index);
        let searches = interests::searches(&clicks, &self.options, enough);
        let most = searches.iter().map(|search| search.count).sum();
        let mut lists = RankedLists::with_room(searches.len(), most);
        for search in &searches {
            lists.add_written(1.0, |found| {
                match search.click.and_then(|rank| latest[rank].index) {
                    Some(item) => {
                        let (clicked, count) = ((item, &*search.vector), search.count);
                        self.neighbours.nearest(&self.ann, clicked, count, wanted, found)?;
                    }
                    None => found.extend(self.ann.search(&search.vector, search.count, wanted)?),
                }
                Ok::<_, RetrievalError>(())
            })?;
        }
        Ok(interests::best(&lists, enough))
    }
}

fn closed(_: AcquireError) -> RetrievalError {
    RetrievalError::Index("retrieval is shutting down".to_owned())
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
        query: &'a Arc<RetrievalQuery>,
        view: &'a View<'a>,
        enough: usize,
    ) -> Answer<'a, Nearest> {
        if self.ann.len() <= IN_PLACE
            && let Ok(_turn) = self.turns.try_acquire()
        {
            return Answer::Now(self.search(query, view, enough));
        }
        Answer::Later(self.search_blocking(Arc::clone(query), enough).boxed())
    }

    async fn nearest_to_item<'a>(
        self: Arc<Self>,
        item: ItemIndex,
        query: Arc<RetrievalQuery>,
        view: &'a View<'a>,
    ) -> Neighbours {
        if self.ann.len() <= IN_PLACE
            && let Ok(_turn) = self.turns.try_acquire()
        {
            return self.near(item, &query, view);
        }
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(closed)?;
        blocking(move || {
            let _turn = turn;
            self.near(item, &query, &self.items.view())
        })
        .await
    }

    async fn replace(
        &self,
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
