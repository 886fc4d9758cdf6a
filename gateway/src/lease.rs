//! Who of the gateways that share a store does what one of them is to do.

use std::{sync::Arc, time::Duration};

use plugrank_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;

/// Turns of its holder that a lease outlives.
const TURNS: u32 = 3;

/// A lease: a document of the store that says who holds it, and until when.
pub(crate) struct Lease {
    store: Arc<dyn Store>,
    document: &'static str,
    /// This gateway.
    id: Uuid,
    clock: Clock,
}

#[derive(Serialize, Deserialize)]
struct Held {
    by: Uuid,
    until: i64,
}

impl Lease {
    pub(crate) fn new(store: Arc<dyn Store>, document: &'static str, clock: Clock) -> Self {
        Self { store, document, id: Uuid::new_v4(), clock }
    }

    /// Whether this gateway holds it, which is asked for every so often: it did before, or takes one that ran
    /// out.
    pub(crate) async fn is_held(&self, every: Duration) -> Result<bool, StoreError> {
        let now = self.clock.now_ms();
        let document = self.store.document(self.document).await?;
        let held =
            document.as_ref().and_then(|one| serde_json::from_slice::<Held>(&one.bytes).ok());
        if held.is_some_and(|held| held.by != self.id && now < held.until) {
            return Ok(false);
        }
        let until = now + i64::try_from((every * TURNS).as_millis()).unwrap_or(i64::MAX / 2);
        let held = serde_json::to_vec(&Held { by: self.id, until })
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let revision = document.map_or(0, |document| document.revision);
        Ok(self.store.put_document(self.document, held, revision).await?.is_some())
    }
}
