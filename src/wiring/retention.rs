//! Forgets what is older than it is kept, again and again.

use std::{sync::Arc, time::Duration};

use plugrank_contract::TimestampMs;
use plugrank_store::{Retention, Store};

/// Between two sweeps.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Before the first one, so that a start is not slowed by it.
const FIRST: Duration = Duration::from_secs(5 * 60);

/// Sweeps for as long as the process runs.
pub(crate) fn keep(store: Arc<dyn Store>, retention: Retention) {
    tokio::spawn(async move {
        tokio::time::sleep(FIRST).await;
        loop {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = since.map_or(0, |since| since.as_millis() as TimestampMs);
            match store.forget_older(&retention, now).await {
                Ok(0) => {}
                Ok(entries) => {
                    tracing::info!(entries, "old events, exposures and histories are gone")
                }
                Err(error) => tracing::warn!(%error, "what is old could not be removed"),
            }
            tokio::time::sleep(EVERY).await;
        }
    });
}
