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
use plugrank_contract::ItemId;
use plugrank_store::{ItemVector, StoreError, VectorSets};
use tokio::sync::watch;

pub(crate) use writer::Writer;

use crate::{
    RetrievalError,
    catalog::ItemIndex,
    index::{IndexSize, Search, VectorIndex, vector::normalised},
    query::{Click, Query},
    state::State,
};

/// That there is an engine, and whether it was asked yet.
pub(crate) struct Engine {
    /// Whether there are vectors, or why there are none is known.
    asked: watch::Sender<bool>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        Self { asked: watch::Sender::new(false) }
    }

    /// Returns when there are vectors to search, or the servers did not let us find out.
    pub(crate) async fn asked(&self) {
        // The sender lives as long as this does.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }
}

/// Vectors of one bundle on the servers.
pub(crate) struct External {
    sets: VectorSets,
    /// Name of the vectors' space.
    space: String,
    /// How many there were when that was last asked.
    count: AtomicUsize,
}

fn failed(error: StoreError) -> RetrievalError {
    let (StoreError::Unavailable(why) | StoreError::Corrupt(why)) = error;
    RetrievalError::Engine(why)
}

#[async_trait]
impl VectorIndex for External {
    fn size(&self) -> IndexSize {
        IndexSize { vectors: self.count.load(Ordering::Relaxed), bytes: 0 }
    }

    async fn vectors(&self, clicks: Vec<Click>) -> Result<Vec<Option<Vec<f32>>>, RetrievalError> {
        let ids: Vec<ItemId> = clicks.into_iter().map(|click| click.item_id).collect();
        let vectors = self.sets.vectors(&self.space, &ids).await.map_err(failed)?;
        // No vector at all may mean that the servers have lost them, which would be no answer.
        if vectors.iter().all(Option::is_none)
            && self.sets.count(&self.space).await.map_err(failed)? == 0
        {
            return Err(RetrievalError::Engine("it has lost its vectors".to_owned()));
        }
        Ok(vectors)
    }

    fn has(&self, _: ItemIndex) -> bool {
        true
    }

    async fn nearest(
        &self,
        state: &Arc<State>,
        query: &Arc<Query>,
        searches: Vec<Search>,
    ) -> Result<Vec<Vec<ItemIndex>>, RetrievalError> {
        // What the user clicked is near by nature: so many more are asked for.
        let blocked = query.seen.len() + query.excluded.len();
        let wanted: Vec<(&[f32], usize)> = searches
            .iter()
            .map(|search| (search.vector.as_slice(), search.count + blocked))
            .collect();
        let found = self.sets.searches(&self.space, &wanted).await.map_err(failed)?;
        let catalog = state.catalog.read();
        let shown = |id: &ItemId| {
            let index = catalog.index_of(id)?;
            (catalog.available(index) && !query.blocks(index)).then_some(index)
        };
        let lists = searches.iter().zip(found).map(|(search, found)| {
            found.iter().filter_map(|(id, _)| shown(id)).take(search.count).collect()
        });
        Ok(lists.collect())
    }

    async fn replace(
        &self,
        state: &Arc<State>,
        gone: Vec<ItemIndex>,
        vectors: Vec<(ItemIndex, Vec<f32>)>,
    ) -> Result<(), RetrievalError> {
        let (vectors, gone) = {
            let catalog = state.catalog.read();
            let of = |(index, vector): (ItemIndex, Vec<f32>)| {
                let available = catalog.available(index);
                Some(ItemVector { id: catalog.id(index)?.clone(), vector, available })
            };
            let vectors: Vec<ItemVector> = vectors.into_iter().filter_map(of).collect();
            let gone = gone.iter().filter_map(|index| catalog.id(*index).cloned());
            (vectors, gone.collect())
        };
        let done = write(&self.sets, &self.space, vectors, gone).await;
        match done {
            // Whoever keeps the engine up to date finds the change in the store's, and repeats it.
            Err(error) if state.store.changes().is_some() => {
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
