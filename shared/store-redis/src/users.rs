//! User profiles.

use std::sync::Arc;

use plugrank_contract::{HistoryLimits, TimestampMs, User, UserId, UserView};
use plugrank_store::{StoreError, codec};
use redis::{FromRedisValue, Value, cmd};

use crate::{batch::Kind, connection::Server, history, keys::Keys};

/// Profiles in one exchange.
const CHUNK: usize = 2000;

pub(crate) async fn put(server: &Server, keys: &Keys, users: &[User]) -> Result<(), StoreError> {
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

pub(crate) async fn get(
    server: &Server,
    keys: &Keys,
    id: &UserId,
) -> Result<Option<Arc<User>>, StoreError> {
    let key = keys.user(id);
    let value: Option<Vec<u8>> = server.command(&key, cmd("GET").arg(&key).take()).await?;
    value.map(|bytes| decode(server, &bytes)).transpose()
}

/// Profile and history, in one exchange. All keys of a user lie in one slot.
pub(crate) async fn view(
    server: &Server,
    keys: &Keys,
    user: &UserId,
    before: TimestampMs,
    limits: HistoryLimits,
) -> Result<Arc<UserView>, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    history::push_read(&mut batch, keys, user, before, limits);
    let key = keys.user(user);
    batch.push(&key, cmd("GET").arg(&key).take());
    let found: Vec<Value> = server.send(batch).await?;
    let mut found = found.into_iter();
    let (clicks, shown) = (reply(server, found.next())?, reply(server, found.next())?);
    let profile: Option<Vec<u8>> = reply(server, found.next())?;
    let profile = profile.map(|bytes| decode(server, &bytes)).transpose()?;
    let history = history::read(server, clicks, shown)?;
    Ok(Arc::new(UserView::new(user.clone(), profile, history.entries, limits)))
}

fn reply<T: FromRedisValue>(server: &Server, value: Option<Value>) -> Result<T, StoreError> {
    redis::from_redis_value(value.unwrap_or(Value::Nil))
        .map_err(|error| server.failed(&error.into()))
}

fn decode(server: &Server, bytes: &[u8]) -> Result<Arc<User>, StoreError> {
    codec::decode_user(bytes).map(Arc::new).map_err(|error| server.unreadable("user", error))
}
