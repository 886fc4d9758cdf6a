//! Item vectors in vector sets on Redis servers, which all replicas of retrieval share.
//!
//! Every replica searches them; one of them at a time, who holds a lease, fills the sets and keeps
//! them up to date.

mod space;
mod writer;

use async_trait::async_trait;
use plugrank_retrieval::engine::{EngineHost, VectorEngine};
use plugrank_store_redis::VectorSets;

/// The engine on Redis servers.
#[derive(Clone, Debug)]
pub struct RedisVectorEngine {
    sets: VectorSets,
}

impl RedisVectorEngine {
    /// One over these sets; the servers are not reached yet.
    #[must_use]
    pub fn new(sets: VectorSets) -> Self {
        Self { sets }
    }
}

#[async_trait]
impl VectorEngine for RedisVectorEngine {
    async fn keep_up(self: Box<Self>, host: EngineHost) {
        writer::Writer::new(host, self.sets).run().await;
    }
}
