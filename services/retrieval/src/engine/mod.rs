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
use plugrank_store::{ItemVector, StoreError, VectorSets};
use tokio::sync::watch;

pub(crate) use writer::Writer;

use crate::{
    RetrievalError,
    answer::Answer,
    index::{
        IndexSize, Nearest, VectorIndex,
        interests::{self, ClickVectors},
        vector::normalised,
    },
    query::Request,
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

    async fn search(&self, request: Request<'_>, enough: usize) -> Nearest {
        let Request { state, view, query } = request;
        let options = &state.options.ann;
        let ids: Vec<ItemId> =
            query.clicked_ids(interests::clicks_read(options)).cloned().collect();
        let vectors = self.vectors(&ids).await?;
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
        let wanted: Vec<(&[f32], usize)> =
            searches.iter().map(|search| (&*search.vector, search.count + blocked)).collect();
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
        request: Request<'a>,
        enough: usize,
    ) -> Answer<'a, Nearest> {
        if enough == 0 {
            return Answer::Now(Ok(Vec::new()));
        }
        Answer::Later(async move { self.search(request, enough).await }.boxed())
    }

    async fn replace(
        &self,
        state: &Arc<State>,
        gone: Vec<ItemIndex>,
        vectors: Vec<(ItemIndex, Vec<f32>)>,
    ) -> Result<(), RetrievalError> {
        let (vectors, gone) = {
            let view = state.items.view();
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
