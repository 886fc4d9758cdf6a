//! The order of `interactions.parquet`.

use plugrank_contract::{ItemId, TimestampMs, UserId};

/// Remembers the last row and tells whether the next one may follow it.
#[derive(Debug, Default)]
pub(crate) struct Order {
    last: Option<(TimestampMs, UserId, ItemId)>,
}

impl Order {
    /// What is wrong with a row that comes before the last one by (timestamp, user, item).
    pub(crate) fn check(
        &mut self,
        timestamp: TimestampMs,
        user_id: &UserId,
        item_id: &ItemId,
    ) -> Result<(), String> {
        let this = (timestamp, user_id.clone(), item_id.clone());
        let last = self.last.replace(this);
        let Some((last_time, last_user, last_item)) = last else { return Ok(()) };
        if (timestamp, user_id, item_id) >= (last_time, &last_user, &last_item) {
            return Ok(());
        }
        Err(format!(
            "({timestamp}, {user_id}, {item_id}) comes after ({last_time}, {last_user}, \
             {last_item}); sort the rows by (timestamp, user_id, item_id), ids shorter first, \
             then by bytes"
        ))
    }
}
