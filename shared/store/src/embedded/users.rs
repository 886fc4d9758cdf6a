//! User profiles.

use std::sync::Arc;

use plugrank_contract::{User, UserId};
use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use super::error::Failure;
use crate::codec;

/// User id to [`codec::encode_user`].
pub(super) const USERS: TableDefinition<&str, &[u8]> = TableDefinition::new("users");

pub(super) fn put(txn: &WriteTransaction, users: &[User]) -> Result<(), Failure> {
    let mut table = txn.open_table(USERS)?;
    for user in users {
        table.insert(user.user_id.as_str(), codec::encode_user(user).as_slice())?;
    }
    Ok(())
}

pub(super) fn get(txn: &ReadTransaction, id: &UserId) -> Result<Option<Arc<User>>, Failure> {
    let table = txn.open_table(USERS)?;
    table
        .get(id.as_str())?
        .map(|value| {
            codec::decode_user(value.value())
                .map(Arc::new)
                .map_err(|error| Failure::unreadable("users", error))
        })
        .transpose()
}
