//! The store that the settings name.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use plugrank_runtime::settings::{StoreKind, StoreSettings};
use plugrank_store::{EmbeddedOptions, EmbeddedStore, RedisOptions, RedisStore, Store};

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
                item_cache_bytes: (settings.item_cache_mb as u64) << 20,
                verify_on_open: settings.verify_on_open,
            };
            Ok(Arc::new(EmbeddedStore::open(&settings.path, options)?))
        }
        StoreKind::Redis => {
            let url = settings.redis_url.as_deref().context("store.redis_url is missing")?;
            let timeout = Duration::from_millis(settings.redis_timeout_ms);
            let options = RedisOptions {
                connections: settings.redis_pool,
                connect_timeout: timeout,
                call_timeout: timeout,
                ..RedisOptions::default()
            };
            Ok(Arc::new(RedisStore::connect(url, options).await?))
        }
    }
}
