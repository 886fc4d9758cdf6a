//! The store that the settings name.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use plugrank_retrieval::{EngineKind, RetrievalOptions};
use plugrank_runtime::settings::{StoreKind, StoreSettings};
use plugrank_store::{
    EmbeddedOptions, EmbeddedStore, RedisAccess, RedisOptions, RedisServers, RedisStore, Store,
    VectorSetOptions, VectorSets,
};

/// The vector engine that the settings name, if it is not the embedded index. It is not reached yet.
///
/// # Errors
/// When an address cannot be used.
pub(super) fn vector_sets(settings: &RetrievalOptions) -> Result<Option<VectorSets>> {
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
    Ok(Some(VectorSets::new(&servers, &redis, options)?))
}

/// Opens the store.
///
/// # Errors
/// When it cannot be opened or reached; the message says what would help.
pub async fn open(settings: &StoreSettings) -> Result<Arc<dyn Store>> {
    match settings.kind {
        StoreKind::Embedded => {
            if let Some(folder) = settings.path.parent() {
                std::fs::create_dir_all(folder).with_context(|| {
                    format!("the folder {} of store.path cannot be made", folder.display())
                })?;
            }
            let options = EmbeddedOptions {
                page_cache_bytes: settings.page_cache_mb << 20,
                user_cache_bytes: (settings.user_cache_mb as u64) << 20,
                verify_on_open: settings.verify_on_open,
                ..EmbeddedOptions::default()
            };
            Ok(Arc::new(EmbeddedStore::open(&settings.path, options)?))
        }
        StoreKind::Redis => {
            let timeout = Duration::from_millis(settings.redis_timeout_ms);
            let options = RedisOptions {
                access: RedisAccess {
                    username: settings.redis_username.clone(),
                    password: settings.redis_password.clone(),
                    ca_file: settings.redis_ca_file.clone(),
                },
                connections: settings.redis_pool,
                connect_timeout: timeout,
                call_timeout: timeout,
                replicas: settings.redis_replicas,
                changes_kept: settings.redis_changes,
                event_memory: hours(settings.redis_event_hours),
                vector_memory: hours(settings.redis_vector_hours),
                ..RedisOptions::default()
            };
            Ok(Arc::new(RedisStore::connect(&servers(settings)?, options).await?))
        }
    }
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 60 * 60)
}

/// Which of the three ways to Redis is set. The settings were checked: there is exactly one.
fn servers(settings: &StoreSettings) -> Result<RedisServers> {
    if let Some(url) = &settings.redis_url {
        return Ok(RedisServers::single(url));
    }
    if !settings.redis_cluster_urls.is_empty() {
        return Ok(RedisServers::Cluster(settings.redis_cluster_urls.clone()));
    }
    let master = settings.redis_sentinel_master.clone().context("store.redis_url is missing")?;
    Ok(RedisServers::Sentinel { urls: settings.redis_sentinel_urls.clone(), master })
}
