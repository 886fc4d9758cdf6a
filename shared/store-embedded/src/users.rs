//! User profiles.

use std::sync::Arc;

use plugrank_contract::{HistoryLimits, TimestampMs, User, UserId, UserView};
use plugrank_store::codec;
use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use crate::{changed_rows::insert_changed, error::Failure, history};

/// User id to [`codec::encode_user`].
pub(crate) const USERS: TableDefinition<&str, &[u8]> = TableDefinition::new("users");

pub(crate) fn put(txn: &WriteTransaction, users: &[User]) -> Result<(), Failure> {
    let mut table = txn.open_table(USERS)?;
    for user in users {
        insert_changed(&mut table, user.user_id.as_str(), &codec::encode_user(user))?;
    }
    Ok(())
}

/// Removes a profile.
pub(crate) fn delete(txn: &WriteTransaction, user: &UserId) -> Result<(), Failure> {
    txn.open_table(USERS)?.remove(user.as_str())?;
    Ok(())
}

pub(crate) fn get(txn: &ReadTransaction, id: &UserId) -> Result<Option<Arc<User>>, Failure> {
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

/// A user as they were before a moment.
pub(crate) fn view(
    txn: &ReadTransaction,
    user: &UserId,
    before: TimestampMs,
    limits: HistoryLimits,
) -> Result<UserView, Failure> {
    let history = history::get(txn, user, before, limits.clicks, limits.impressions)?;
    Ok(UserView::new(user.clone(), get(txn, user)?, history.entries, limits))
}
