//! Nearest neighbours over item vectors, and items clicked together.

mod ann;
mod codes;
pub(crate) mod embedded;
pub(crate) mod external;
pub(crate) mod interests;
mod neighbour_cache;
pub(crate) mod pairs;
pub mod vector;

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::ItemIndex;
use plugrank_items::View;

use crate::{RetrievalError, answer::Answer, query::RetrievalQuery};

pub use ann::AnnIndex;

/// How large an index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexSize {
    /// Vectors in it.
    pub(crate) vectors: usize,
    /// Memory of this process that it takes, in bytes.
    pub(crate) bytes: usize,
}

/// Available items that the query does not block, nearest first.
pub(crate) type Nearest = Result<Vec<ItemIndex>, RetrievalError>;

/// The same with their cosines to one item, which may have no vector.
pub(crate) type Neighbours = Result<Option<Vec<(ItemIndex, f32)>>, RetrievalError>;

/// Vectors of items, all by one bundle, and what is near by cosine.
#[async_trait]
pub(crate) trait VectorIndex: Send + Sync + 'static {
    /// How large it is, as far as that is known here.
    fn size(&self) -> IndexSize;
    /// Whether an item's vector is in it, as far as that is known here.
    fn has(&self, item: ItemIndex) -> bool;
    /// At most `enough` items near to what the user clicked, as [`interests`] has it.
    fn nearest_to_clicks<'a>(
        self: Arc<Self>,
        query: &'a Arc<RetrievalQuery>,
        view: &'a View<'a>,
        enough: usize,
    ) -> Answer<'a, Nearest>;
    /// As many items as the query wants near to an item, nearest first, with their cosines; `None`
    /// where that item has no vector.
    async fn nearest_to_item<'a>(
        self: Arc<Self>,
        item: ItemIndex,
        query: Arc<RetrievalQuery>,
        view: &'a View<'a>,
    ) -> Neighbours;
    /// Takes vectors out and puts others in, replacing those of the same items.
    async fn replace(
        &self,
        gone: Vec<ItemIndex>,
        vectors: Vec<(ItemIndex, Vec<f32>)>,
    ) -> Result<(), RetrievalError>;
    /// The index in this process, where it is one.
    fn embedded(&self) -> Option<&Arc<AnnIndex>> {
        None
    }
}
