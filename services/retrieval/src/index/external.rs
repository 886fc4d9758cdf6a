//! An index outside of this process.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use plugrank_contract::{ItemId, ItemIndex};
use plugrank_items::{ItemTable, View};
use plugrank_store::{ItemVector, StoreError};

use super::{
    IndexSize, Nearest, Neighbours, VectorIndex,
    interests::{self, ClickVectors},
};
use crate::{
    RetrievalError, answer::Answer, engine::SharedVectors, options::AnnOptions,
    query::RetrievalQuery,
};

/// Vectors of one bundle in an engine.
pub(crate) struct External {
    pub(crate) vectors: Arc<dyn SharedVectors>,
    /// The catalog, and how it is searched.
    pub(crate) items: Arc<ItemTable>,
    pub(crate) options: AnnOptions,
    /// Whether the store tells of changes.
    pub(crate) followed: bool,
}

impl External {
    async fn search(&self, query: &RetrievalQuery, view: &View<'_>, enough: usize) -> Nearest {
        let options = &self.options;
        let ids: Vec<ItemId> =
            query.clicked_ids(interests::clicks_read(options)).cloned().collect();
        let vectors = self.vectors.vectors(&ids).await.map_err(RetrievalError::engine)?;
        let dim = vectors.iter().flatten().next().map_or(0, Vec::len);
        let mut clicks = ClickVectors::with_room(dim, vectors.len());
        for (rank, vector) in vectors.iter().enumerate() {
            let Some(vector) = vector.as_ref().filter(|vector| vector.len() == dim) else {
                continue;
            };
            clicks.add(rank, |row| {
                row.copy_from_slice(vector);
                true
            });
        }
        let searches = interests::searches(&clicks, options, enough);
        // What the user clicked is near by nature: so many more are asked for.
        let blocked = query.seen.len() + query.excluded.len();
        let over = |count: usize| over_ask(count + blocked, query, view);
        let wanted: Vec<(&[f32], usize)> =
            searches.iter().map(|search| (&*search.vector, over(search.count))).collect();
        let found = self.vectors.searches(&wanted).await.map_err(RetrievalError::engine)?;
        let shown = |id: &ItemId| {
            let index = view.index_of(id.as_str())?;
            (view.available(index) && !query.blocks(index)).then_some(index)
        };
        let lists = searches.iter().zip(found).map(|(search, found)| {
            found.iter().filter_map(|(id, _)| shown(id)).take(search.count).collect()
        });
        Ok(interests::merge(&lists.collect::<Vec<_>>(), enough))
    }
}

/// Most neighbours that are asked of the engine in one search, so that a request's filters are met.
const MOST: usize = 2_000;

/// How many neighbours to ask for, so that about `count` of them meet the request's filters: the engine
/// does not know them. Where few items do, the other sources find them.
fn over_ask(count: usize, query: &RetrievalQuery, view: &View<'_>) -> usize {
    let Some(narrowed) = &query.narrowed else { return count };
    let all = count.saturating_mul(view.index_end() as usize);
    count.max(MOST.min(all / narrowed.matching().len().max(1)))
}

#[async_trait]
impl VectorIndex for External {
    fn size(&self) -> IndexSize {
        IndexSize { vectors: self.vectors.count(), bytes: 0 }
    }

    fn has(&self, _: ItemIndex) -> bool {
        true
    }

    fn nearest_to_clicks<'a>(
        self: Arc<Self>,
        query: &'a Arc<RetrievalQuery>,
        view: &'a View<'a>,
        enough: usize,
    ) -> Answer<'a, Nearest> {
        if enough == 0 {
            return Answer::Now(Ok(Vec::new()));
        }
        Answer::Later(async move { self.search(query, view, enough).await }.boxed())
    }

    async fn nearest_to_item<'a>(
        self: Arc<Self>,
        item: ItemIndex,
        query: Arc<RetrievalQuery>,
        view: &'a View<'a>,
    ) -> Neighbours {
        let Some(id) = view.id(item).cloned() else { return Ok(None) };
        let vectors = self.vectors.vectors(&[id]).await.map_err(RetrievalError::engine)?;
        let Some(vector) = vectors.into_iter().next().flatten() else { return Ok(None) };
        // The item itself is nearest.
        let wanted = [(&*vector, over_ask(query.limit + 1, &query, view))];
        let found = self.vectors.searches(&wanted).await.map_err(RetrievalError::engine)?;
        let shown = |(id, cosine): (ItemId, f32)| {
            let index = view.index_of(id.as_str())?;
            (view.available(index) && !query.blocks(index)).then_some((index, cosine))
        };
        Ok(Some(found.into_iter().flatten().filter_map(shown).take(query.limit).collect()))
    }

    async fn replace(
        &self,
        gone: Vec<ItemIndex>,
        vectors: Vec<(ItemIndex, Vec<f32>)>,
    ) -> Result<(), RetrievalError> {
        let (vectors, gone) = {
            let view = self.items.view();
            let of = |(index, vector): (ItemIndex, Vec<f32>)| {
                let available = view.available(index);
                Some(ItemVector { id: view.id(index)?.clone(), vector, available })
            };
            let vectors: Vec<ItemVector> = vectors.into_iter().filter_map(of).collect();
            let gone = gone.iter().filter_map(|index| view.id(*index).cloned());
            (vectors, gone.collect())
        };
        let done: Result<(), StoreError> = self.vectors.replace(gone, vectors).await;
        match done {
            // The process that keeps the engine up to date finds the change in the store's, and
            // repeats it.
            Err(error) if self.followed => {
                tracing::warn!(%error, "a change reaches the vector engine later");
                Ok(())
            }
            done => done.map_err(RetrievalError::engine),
        }
    }
}
