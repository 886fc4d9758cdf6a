//! The store that the settings name.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use plugrank_runtime::Metrics;
use plugrank_settings::RedisConnection;
use plugrank_store::Store;
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_store_redis::{RedisAccess, RedisOptions, RedisServers, RedisStore};

use super::store_metrics::measured;
use crate::settings::{StoreKind, StoreOptions};

/// Opens the store.
///
/// # Errors
/// When it cannot be opened or reached; the message says what would help.
pub async fn open(settings: &StoreOptions) -> Result<Arc<dyn Store>> {
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
                popularity_half_life: settings.popularity_half_life(),
                ..EmbeddedOptions::default()
            };
            Ok(Arc::new(EmbeddedStore::open(&settings.path, options)?))
        }
        StoreKind::Redis => {
            let (servers, options) = redis(settings)?;
            Ok(Arc::new(RedisStore::connect(&servers, options).await?))
        }
    }
}

/// The servers of a store on Redis, and how it lies there.
///
/// # Errors
/// When no address is set.
pub fn redis(settings: &StoreOptions) -> Result<(RedisServers, RedisOptions)> {
    let retention = settings.retention();
    let options = RedisOptions {
        namespace: settings.redis_namespace.clone(),
        replicas: settings.redis_replicas,
        changes_kept: settings.redis_changes,
        event_memory: retention.events.max(retention.exposures),
        popularity_half_life: settings.popularity_half_life(),
        vector_memory: hours(settings.redis_vector_hours),
        ..options(&settings.redis)
    };
    Ok((servers(&settings.redis)?, options))
}

/// Opens the store of a server, whose answers are measured.
///
/// # Errors
/// As [`open`].
pub async fn open_measured(settings: &StoreOptions, metrics: &Metrics) -> Result<Arc<dyn Store>> {
    let name = match settings.kind {
        StoreKind::Embedded => "embedded",
        StoreKind::Redis => "redis",
    };
    Ok(measured(open(settings).await?, name, metrics))
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 60 * 60)
}

/// How the servers are called.
pub(super) fn options(redis: &RedisConnection) -> RedisOptions {
    let timeout = Duration::from_millis(redis.timeout_ms);
    RedisOptions {
        access: RedisAccess {
            username: redis.username.clone(),
            password: redis.password.clone(),
            ca_file: redis.ca_file.clone(),
        },
        connections: redis.pool,
        connect_timeout: timeout,
        call_timeout: timeout,
        ..RedisOptions::default()
    }
}

/// Which of the three ways to Redis is set. The settings were checked: there is exactly one.
pub(super) fn servers(redis: &RedisConnection) -> Result<RedisServers> {
    if let Some(url) = &redis.url {
        return Ok(RedisServers::single(url));
    }
    if !redis.cluster_urls.is_empty() {
        return Ok(RedisServers::Cluster(redis.cluster_urls.clone()));
    }
    let master = redis.sentinel_master.clone().context("the address of Redis is missing")?;
    Ok(RedisServers::Sentinel { urls: redis.sentinel_urls.clone(), master })
}
