//! The store that the settings name.

use std::sync::Arc;

use anyhow::{Context, Result};
use plugrank_runtime::Metrics;
use plugrank_store::Store;
use plugrank_store_embedded::EmbeddedStore;
use plugrank_store_redis::RedisStore;

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
            Ok(Arc::new(EmbeddedStore::open(&settings.path, settings.embedded())?))
        }
        StoreKind::Redis => {
            Ok(Arc::new(RedisStore::connect(&settings.redis, settings.redis_data()).await?))
        }
    }
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
