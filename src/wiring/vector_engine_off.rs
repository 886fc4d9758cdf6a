//! In place of the vector engine where it is left out of the build. Settings that name it were refused
//! ([`crate::features`]).

use anyhow::Result;
use plugrank_retrieval::{RetrievalOptions, engine::VectorEngine};

/// None.
///
/// # Errors
/// Never.
pub(super) fn open(_: &RetrievalOptions) -> Result<Option<Box<dyn VectorEngine>>> {
    Ok(None)
}
