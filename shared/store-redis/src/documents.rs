//! Documents.

use plugrank_store::{Document, StoreError};
use redis::cmd;

use crate::{batch::Kind, connection::Server, keys::Keys, scripts};

pub(crate) async fn get(
    server: &Server,
    keys: &Keys,
    name: &str,
) -> Result<Option<Document>, StoreError> {
    let key = keys.document(name);
    let read = cmd("HMGET").arg(&key).arg("revision").arg("bytes").take();
    let (revision, bytes): (Option<u64>, Option<Vec<u8>>) = server.command(&key, read).await?;
    Ok(revision.zip(bytes).map(|(revision, bytes)| Document { bytes, revision }))
}

pub(crate) async fn put(
    server: &Server,
    keys: &Keys,
    name: &str,
    bytes: Vec<u8>,
    expected: u64,
) -> Result<Option<u64>, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    let args = [expected.to_string().into_bytes(), bytes];
    batch.run(&scripts::PUT_DOCUMENT, &[keys.document(name)], &args);
    let revision = server.send::<u64>(batch).await?.pop().unwrap_or_default();
    Ok((revision > 0).then_some(revision))
}
