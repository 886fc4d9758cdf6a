//! The vector engine that the settings name.

use std::time::Duration;

use anyhow::Result;
use plugrank_retrieval::engine::VectorEngine;
use plugrank_runtime::settings::{EngineKind, RetrievalSettings};
use plugrank_store_redis::{RedisAccess, RedisOptions, RedisServers, VectorSetOptions, VectorSets};
use plugrank_vector_engine::RedisVectorEngine;

/// The vector engine that the settings name, if it is not the embedded index. It is not reached yet.
///
/// # Errors
/// When an address cannot be used.
pub(super) fn open(settings: &RetrievalSettings) -> Result<Option<Box<dyn VectorEngine>>> {
    let (engine, ann) = (&settings.engine, &settings.ann);
    if engine.kind == EngineKind::Embedded {
        return Ok(None);
    }
    let servers = match &engine.redis_url {
        Some(url) => RedisServers::single(url),
        None => RedisServers::Cluster(engine.redis_cluster_urls.clone()),
    };
    let timeout = Duration::from_millis(engine.timeout_ms);
    let redis = RedisOptions {
        access: RedisAccess {
            username: engine.redis_username.clone(),
            password: engine.redis_password.clone(),
            ca_file: engine.redis_ca_file.clone(),
        },
        connections: engine.redis_pool,
        connect_timeout: timeout,
        call_timeout: timeout,
        ..RedisOptions::default()
    };
    let options = VectorSetOptions {
        shards: engine.shards,
        int8: engine.int8,
        exact: engine.exact,
        connectivity: ann.connectivity,
        expansion_add: ann.expansion_add,
        expansion_search: ann.expansion_search,
    };
    let sets = VectorSets::new(&servers, &redis, options)?;
    Ok(Some(Box::new(RedisVectorEngine::new(sets))))
}
