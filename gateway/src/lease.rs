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

/// The document: who has the lease, and until when, in Unix milliseconds.
#[derive(Serialize, Deserialize)]
struct LeaseRecord {
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
        let record = document.as_ref();
        let record =
            record.and_then(|one| serde_json::from_slice::<LeaseRecord>(&one.bytes).ok());
        if record.is_some_and(|record| record.by != self.id && now < record.until) {
            return Ok(false);
        }
        let until = now + i64::try_from((every * TURNS).as_millis()).unwrap_or(i64::MAX / 2);
        let record = serde_json::to_vec(&LeaseRecord { by: self.id, until })
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let revision = document.map_or(0, |document| document.revision);
        Ok(self.store.put_document(self.document, record, revision).await?.is_some())
    }
}
