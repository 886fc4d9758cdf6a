//! Nearest neighbours over item vectors, and items clicked together.

mod ann;
pub(crate) mod embedded;
pub(crate) mod pairs;
pub mod vector;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    RetrievalError,
    catalog::ItemIndex,
    query::{Click, Query},
    state::State,
};

pub use ann::AnnIndex;

/// A search for neighbours.
pub(crate) struct Search {
    /// What they should be near to, of any length.
    pub(crate) vector: Vec<f32>,
    /// How many.
    pub(crate) count: usize,
}

/// How large an index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexSize {
    /// Vectors in it.
    pub(crate) vectors: usize,
    /// Memory of this process that it takes, in bytes.
    pub(crate) bytes: usize,
}

/// Vectors of items, all by one bundle, and what is near by cosine.
#[async_trait]
pub(crate) trait VectorIndex: Send + Sync + 'static {
    /// How large it is, as far as that is known here.
    fn size(&self) -> IndexSize;
    /// Whether an item's vector is in it, as far as that is known here.
    fn has(&self, item: ItemIndex) -> bool;
    /// Normalised vectors of clicked items, same order; `None` where there is none.
    async fn vectors(&self, clicks: Vec<Click>) -> Result<Vec<Option<Vec<f32>>>, RetrievalError>;
    /// For each search, available items that the query does not block, nearest first.
    async fn nearest(
        &self,
        state: &Arc<State>,
        query: &Arc<Query>,
        searches: Vec<Search>,
    ) -> Result<Vec<Vec<ItemIndex>>, RetrievalError>;
    /// Takes vectors out and puts others in, replacing those of the same items.
    async fn replace(
        &self,
        state: &Arc<State>,
        gone: Vec<ItemIndex>,
        vectors: Vec<(ItemIndex, Vec<f32>)>,
    ) -> Result<(), RetrievalError>;
    /// The index in this process, where it is one.
    fn embedded(&self) -> Option<&Arc<AnnIndex>> {
        None
    }
}
