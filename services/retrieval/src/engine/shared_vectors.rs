//! Vectors outside of this process.

use async_trait::async_trait;
use plugrank_contract::ItemId;
use plugrank_store::{ItemVector, StoreError};

/// Vectors of items, all by one bundle, outside of this process.
#[async_trait]
pub trait SharedVectors: Send + Sync + 'static {
    /// How many there were when that was last asked.
    fn count(&self) -> usize;
    /// Normalised vectors of items, same order; `None` where there is none. An error where there
    /// is no vector of any item: they are lost.
    async fn vectors(&self, ids: &[ItemId]) -> Result<Vec<Option<Vec<f32>>>, StoreError>;
    /// For each vector and number, so many available items by cosine, nearest first.
    async fn searches(
        &self,
        wanted: &[(&[f32], usize)],
    ) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError>;
    /// Takes vectors out and puts others in, replacing those of the same items.
    async fn replace(&self, gone: Vec<ItemId>, vectors: Vec<ItemVector>) -> Result<(), StoreError>;
}
