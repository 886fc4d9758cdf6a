//! User profiles.

use std::sync::Arc;

use plugrank_contract::{User, UserId};
use redis::cmd;

use super::{batch::Kind, connection::Server, keys::Keys};
use crate::{StoreError, codec};

/// Profiles in one exchange.
const CHUNK: usize = 2000;

pub(super) async fn put(server: &Server, keys: &Keys, users: &[User]) -> Result<(), StoreError> {
    for chunk in users.chunks(CHUNK) {
        let names: Vec<_> = chunk.iter().map(|user| keys.user(&user.user_id)).collect();
        let values: Vec<_> = chunk.iter().map(codec::encode_user).collect();
        // As transactions, which a server that syncs every write syncs once each.
        let mut batch = server.batch(Kind::Transaction);
        server.mset(&mut batch, &names, &values);
        server.send::<()>(batch).await?;
    }
    Ok(())
}

pub(super) async fn get(
    server: &Server,
    keys: &Keys,
    id: &UserId,
) -> Result<Option<Arc<User>>, StoreError> {
    let key = keys.user(id);
    let value: Option<Vec<u8>> = server.command(&key, cmd("GET").arg(&key).take()).await?;
    value
        .map(|bytes| {
            codec::decode_user(&bytes)
                .map(Arc::new)
                .map_err(|error| server.unreadable("user", error))
        })
        .transpose()
}
