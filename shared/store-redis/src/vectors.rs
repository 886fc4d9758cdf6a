//! Cached vectors. They expire, and so are what a server short of memory may evict.

use std::time::Duration;

use plugrank_store::{StoreError, VectorSpace};
use redis::cmd;

use crate::{batch::Kind, connection::Server, keys::Keys};

/// Vectors in one exchange.
const CHUNK: usize = 1000;

pub(crate) async fn put(
    server: &Server,
    keys: &Keys,
    memory: Duration,
    space: &VectorSpace,
    entries: &[(Vec<u8>, Vec<u8>)],
) -> Result<(), StoreError> {
    for chunk in entries.chunks(CHUNK) {
        let mut batch = server.batch(Kind::Plain);
        for (key, vector) in chunk {
            let key = keys.vector(space, key);
            let seconds = memory.as_secs().max(1);
            batch.push(&key, cmd("SET").arg(&key).arg(vector).arg("EX").arg(seconds).take());
        }
        server.send::<()>(batch).await?;
    }
    Ok(())
}

pub(crate) async fn get(
    server: &Server,
    keys: &Keys,
    space: &VectorSpace,
    vectors: &[Vec<u8>],
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let wanted: Vec<_> = vectors.iter().map(|key| keys.vector(space, key)).collect();
    server.mget(&wanted).await
}
