//! An index outside of this process, which all replicas share: vector sets on Redis servers.
//!
//! Every replica searches it; one of them at a time, who holds a lease, fills it and keeps it up to
//! date. What a replica knows of items (whether they are shown, who clicked them) stays its own.

mod writer;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::FutureExt;
use plugrank_contract::{ItemId, ItemIndex};
use plugrank_items::{ItemTable, View};
use plugrank_store::StoreError;
use plugrank_store_redis::{ItemVector, VectorSets};

pub(crate) use writer::Writer;

use crate::{
    RetrievalError,
    answer::Answer,
    index::{IndexSize, Nearest, VectorIndex, interests, vector::normalised},
    options::AnnOptions,
    query::Query,
};

/// Vectors of one bundle on the servers.
pub(crate) struct External {
    sets: VectorSets,
    /// Name of the vectors' space.
    space: String,
    /// The catalog, and how it is searched.
    items: Arc<ItemTable>,
    options: AnnOptions,
    /// Whether the store tells of changes.
    followed: bool,
    /// How many there were when that was last asked.
    count: AtomicUsize,
}

fn failed(error: StoreError) -> RetrievalError {
    let (StoreError::Unavailable(why) | StoreError::Corrupt(why)) = error;
    RetrievalError::Engine(why)
}

impl External {
    /// Normalised vectors of items, same order; `None` where there is none.
    async fn vectors(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<f32>>>, RetrievalError> {
        let vectors = self.sets.vectors(&self.space, ids).await.map_err(failed)?;
        // No vector at all may mean that the servers have lost them, which would be no answer.
        if vectors.iter().all(Option::is_none)
            && self.sets.count(&self.space).await.map_err(failed)? == 0
        {
            return Err(RetrievalError::Engine("it has lost its vectors".to_owned()));
        }
        Ok(vectors)
    }

    async fn search(&self, query: &Query, view: &View<'_>, enough: usize) -> Nearest {
        let options = &self.options;
        let ids: Vec<ItemId> =
            query.clicked_ids(interests::clicks_read(options)).cloned().collect();
        let vectors = self.vectors(&ids).await?;
        let searches = interests::searches(vectors.into_iter(), options, enough);
        // What the user clicked is near by nature: so many more are asked for.
        let blocked = query.seen.len() + query.excluded.len();
        let wanted: Vec<(&[f32], usize)> = searches
            .iter()
            .map(|search| (search.vector.as_slice(), search.count + blocked))
            .collect();
        let found = self.sets.searches(&self.space, &wanted).await.map_err(failed)?;
        let shown = |id: &ItemId| {
            let index = view.index_of(id.as_str())?;
            (view.available(index) && !query.blocks(index)).then_some(index)
        };
        let lists = searches.iter().zip(found).map(|(search, found)| {
            found.iter().filter_map(|(id, _)| shown(id)).take(search.count).collect()
        });
        Ok(interests::merge(lists.collect(), enough))
    }
}

#[async_trait]
impl VectorIndex for External {
    fn size(&self) -> IndexSize {
        IndexSize { vectors: self.count.load(Ordering::Relaxed), bytes: 0 }
    }

    fn has(&self, _: ItemIndex) -> bool {
        true
    }

    fn nearest_to_clicks<'a>(
        self: Arc<Self>,
        query: &'a Arc<Query>,
        view: &'a View<'a>,
        enough: usize,
    ) -> Answer<'a, Nearest> {
        if enough == 0 {
            return Answer::Now(Ok(Vec::new()));
        }
        Answer::Later(async move { self.search(query, view, enough).await }.boxed())
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
        let done = write(&self.sets, &self.space, vectors, gone).await;
        match done {
            // Whoever keeps the engine up to date finds the change in the store's, and repeats it.
            Err(error) if self.followed => {
                tracing::warn!(%error, "a change reaches the vector engine later");
                Ok(())
            }
            done => done.map_err(failed),
        }
    }
}

/// Puts vectors and takes others out, as well as those without a direction.
async fn write(
    sets: &VectorSets,
    space: &str,
    vectors: Vec<ItemVector>,
    mut gone: Vec<ItemId>,
) -> Result<(), StoreError> {
    let (with, without): (Vec<ItemVector>, Vec<ItemVector>) =
        vectors.into_iter().partition(|one| normalised(&one.vector).is_some());
    gone.extend(without.into_iter().map(|one| one.id));
    sets.remove(space, &gone).await?;
    sets.put(space, &with).await
}
