//! Cached vectors. They expire, and so are what a server short of memory may evict.

use std::time::Duration;

use deadpool_redis::redis;

use super::{catalog::mget, connection::Server, keys::Keys};
use crate::{StoreError, VectorSpace};

/// Vectors in one exchange.
const CHUNK: usize = 1000;

pub(super) async fn put(
    server: &Server,
    keys: &Keys,
    memory: Duration,
    space: &VectorSpace,
    entries: &[(Vec<u8>, Vec<u8>)],
) -> Result<(), StoreError> {
    for chunk in entries.chunks(CHUNK) {
        let mut pipeline = redis::pipe();
        // As one transaction, which a server that syncs every write syncs once.
        pipeline.atomic();
        for (key, vector) in chunk {
            let key = keys.vector(space, key);
            pipeline.set_ex(key, vector.as_slice(), memory.as_secs().max(1)).ignore();
        }
        server.query::<()>(&pipeline).await?;
    }
    Ok(())
}

pub(super) async fn get(
    server: &Server,
    keys: &Keys,
    space: &VectorSpace,
    vectors: &[Vec<u8>],
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    mget(server, vectors.iter().map(|key| keys.vector(space, key))).await
}
