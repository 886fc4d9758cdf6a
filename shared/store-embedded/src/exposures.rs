//! The log of served lists.

use plugrank_contract::{Exposure, UserId};
use plugrank_store::{LogCursor, LogPage, TimeRange, codec, keys};
use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use crate::{error::Failure, log};

/// Time, user and request id to the exposure (postcard).
pub(crate) const EXPOSURES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("exposures");
/// User and request id to the exposure's time: what finds those of a user.
pub(crate) const USER_EXPOSURES: TableDefinition<&[u8], i64> =
    TableDefinition::new("user_exposures");

pub(crate) fn append(txn: &WriteTransaction, exposures: &[Exposure]) -> Result<(), Failure> {
    let mut log = txn.open_table(EXPOSURES)?;
    let mut of_users = txn.open_table(USER_EXPOSURES)?;
    for exposure in exposures {
        let name = name(exposure);
        let bytes = codec::encode(exposure);
        let before = of_users.insert(name.as_slice(), exposure.timestamp)?.map(|at| at.value());
        if let Some(before) = before.filter(|before| *before != exposure.timestamp) {
            log.remove(log::key(before, &name).as_slice())?;
        }
        log.insert(log::key(exposure.timestamp, &name).as_slice(), bytes.as_slice())?;
    }
    Ok(())
}

/// Exposures of a span of time, in its order.
pub(crate) fn scan(
    txn: &ReadTransaction,
    range: TimeRange,
    after: Option<&LogCursor>,
    limit: usize,
) -> Result<LogPage<Exposure>, Failure> {
    log::scan(&txn.open_table(EXPOSURES)?, "exposures", range, after, limit)
}

/// Removes up to `limit` exposures from before a moment; how many.
pub(crate) fn forget(txn: &WriteTransaction, before: i64, limit: usize) -> Result<u64, Failure> {
    let mut log = txn.open_table(EXPOSURES)?;
    let mut of_users = txn.open_table(USER_EXPOSURES)?;
    let old: Vec<(Vec<u8>, Exposure)> = log::oldest(&log, "exposures", before, limit)?;
    for (key, exposure) in &old {
        log.remove(key.as_slice())?;
        of_users.remove(name(exposure).as_slice())?;
    }
    Ok(old.len() as u64)
}

/// Removes all exposures of a user.
pub(crate) fn delete(txn: &WriteTransaction, user: &UserId) -> Result<(), Failure> {
    let mut log = txn.open_table(EXPOSURES)?;
    let mut of_users = txn.open_table(USER_EXPOSURES)?;
    for (name, at) in log::of_user(&of_users, user)? {
        log.remove(log::key(at, &name).as_slice())?;
        of_users.remove(name.as_slice())?;
    }
    Ok(())
}

fn name(exposure: &Exposure) -> Vec<u8> {
    let user = exposure.user_id.as_str();
    let mut name = Vec::with_capacity(4 + user.len() + exposure.request_id.len());
    keys::push_string(&mut name, user);
    name.extend_from_slice(exposure.request_id.as_bytes());
    name
}
