//! User profiles.

use std::sync::Arc;

use deadpool_redis::redis;
use plugrank_contract::{User, UserId};

use super::{connection::Server, keys::Keys};
use crate::{StoreError, codec};

/// Profiles in one exchange.
const CHUNK: usize = 2000;

pub(super) async fn put(server: &Server, keys: &Keys, users: &[User]) -> Result<(), StoreError> {
    for chunk in users.chunks(CHUNK) {
        let mut pipeline = redis::pipe();
        // As one transaction, which a server that syncs every write syncs once.
        pipeline.atomic();
        for user in chunk {
            pipeline.set(keys.user(&user.user_id), codec::encode_user(user)).ignore();
        }
        server.query::<()>(&pipeline).await?;
    }
    Ok(())
}

pub(super) async fn get(
    server: &Server,
    keys: &Keys,
    id: &UserId,
) -> Result<Option<Arc<User>>, StoreError> {
    let (value,): (Option<Vec<u8>>,) = server.query(redis::pipe().get(keys.user(id))).await?;
    value
        .map(|bytes| {
            codec::decode_user(&bytes)
                .map(Arc::new)
                .map_err(|error| server.unreadable("user", error))
        })
        .transpose()
}
