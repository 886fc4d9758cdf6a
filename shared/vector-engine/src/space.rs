//! Vectors of one bundle on the servers.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use plugrank_contract::ItemId;
use plugrank_retrieval::{engine::SharedVectors, index::vector::normalised};
use plugrank_store::{ItemVector, StoreError};
use plugrank_store_redis::VectorSets;

/// Vectors of one bundle on the servers.
pub(crate) struct Space {
    sets: VectorSets,
    name: String,
    /// How many there were when that was last asked.
    count: AtomicUsize,
}

impl Space {
    pub(crate) fn new(sets: VectorSets, name: String, count: u64) -> Self {
        let count = usize::try_from(count).unwrap_or(usize::MAX).into();
        Self { sets, name, count }
    }
}

#[async_trait]
impl SharedVectors for Space {
    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    async fn vectors(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
        let vectors = self.sets.vectors(&self.name, ids).await?;
        // No vector at all may mean that the servers have lost them, which would be no answer.
        if vectors.iter().all(Option::is_none) && self.sets.count(&self.name).await? == 0 {
            return Err(StoreError::Corrupt("it has lost its vectors".to_owned()));
        }
        Ok(vectors)
    }

    async fn searches(
        &self,
        wanted: &[(&[f32], usize)],
    ) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError> {
        self.sets.searches(&self.name, wanted).await
    }

    async fn replace(&self, gone: Vec<ItemId>, vectors: Vec<ItemVector>) -> Result<(), StoreError> {
        write(&self.sets, &self.name, gone, vectors).await
    }
}

/// Takes vectors out, as well as those without a direction, and puts the others in.
pub(crate) async fn write(
    sets: &VectorSets,
    space: &str,
    mut gone: Vec<ItemId>,
    vectors: Vec<ItemVector>,
) -> Result<(), StoreError> {
    let (with, without): (Vec<ItemVector>, Vec<ItemVector>) =
        vectors.into_iter().partition(|one| normalised(&one.vector).is_some());
    gone.extend(without.into_iter().map(|one| one.id));
    sets.remove(space, &gone).await?;
    sets.put(space, &with).await
}
