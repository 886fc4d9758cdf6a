//! The vector engine that the settings name.

use anyhow::Result;
use plugrank_retrieval::{EngineKind, RetrievalOptions, engine::VectorEngine};
use plugrank_store_redis::{VectorSetOptions, VectorSets};
use plugrank_vector_engine::RedisVectorEngine;

/// The vector engine that the settings name, if it is not the embedded index. It is not reached yet.
///
/// # Errors
/// When an address cannot be used.
pub(super) fn open(settings: &RetrievalOptions) -> Result<Option<Box<dyn VectorEngine>>> {
    let (engine, ann) = (&settings.engine, &settings.ann);
    if engine.kind == EngineKind::Embedded {
        return Ok(None);
    }
    let options = VectorSetOptions {
        shards: engine.shards,
        int8: engine.int8,
        exact: engine.exact,
        connectivity: ann.connectivity,
        expansion_add: ann.expansion_add,
        expansion_search: ann.expansion_search,
    };
    let sets = VectorSets::new(&engine.redis, options)?;
    Ok(Some(Box::new(RedisVectorEngine::new(sets))))
}
