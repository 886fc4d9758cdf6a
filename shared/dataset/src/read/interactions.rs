//! `interactions.parquet`.

use std::path::Path;

use plugrank_contract::{ItemId, UserId};

use super::{
    Batches,
    kind::Kind,
    table::{Slice, Table},
};
use crate::{
    DatasetError, InteractionRow,
    names::{ITEM_ID, LABEL, POSITION, REQUEST_ID, TIMESTAMP, USER_ID},
    order::Order,
};

const NEEDED: [&str; 4] = [USER_ID, ITEM_ID, TIMESTAMP, LABEL];
const ALL: [&str; 6] = [USER_ID, ITEM_ID, TIMESTAMP, LABEL, REQUEST_ID, POSITION];

pub(crate) fn interactions(
    path: &Path,
    with_requests: bool,
) -> Result<Batches<InteractionRow>, DatasetError> {
    let table = Table::open(path)?;
    table.require(USER_ID, Kind::Text)?;
    table.require(ITEM_ID, Kind::Text)?;
    table.require(TIMESTAMP, Kind::Time)?;
    table.require(LABEL, Kind::Label)?;
    table.optional(REQUEST_ID, Kind::Text)?;
    table.optional(POSITION, Kind::Integer)?;
    let (text, rest) = table.further(&ALL);
    let columns: &[&str] = if with_requests { &ALL } else { &NEEDED };
    let mut order = Order::default();
    table.batches(columns, [text, rest].concat(), move |slice| decode(slice, &mut order))
}

fn decode(slice: &Slice<'_>, order: &mut Order) -> Result<Vec<InteractionRow>, DatasetError> {
    let users = slice.cells(USER_ID, Kind::Text)?;
    let items = slice.cells(ITEM_ID, Kind::Text)?;
    let times = slice.cells(TIMESTAMP, Kind::Time)?;
    let labels = slice.cells(LABEL, Kind::Label)?;
    let requests = slice.optional(REQUEST_ID, Kind::Text)?;
    let positions = slice.optional(POSITION, Kind::Integer)?;
    // Rows of one request follow each other: their user is one allocation.
    let mut last_user: Option<UserId> = None;
    (0..slice.rows())
        .map(|row| {
            let user = users.id(row, UserId::MAX_BYTES)?;
            let user_id = match last_user.take() {
                Some(last) if last.as_str() == user => last,
                _ => UserId::from(user),
            };
            last_user = Some(user_id.clone());
            let item_id = ItemId::from(items.id(row, ItemId::MAX_BYTES)?);
            let timestamp = times.required_integer(row)?;
            order
                .check(timestamp, &user_id, &item_id)
                .map_err(|problem| times.wrong(row, problem))?;
            let position = match positions.as_ref().and_then(|cells| cells.integer(row)) {
                None => None,
                Some(position) => Some(u32::try_from(position).map_err(|_| {
                    slice.wrong(POSITION, row, format!("is {position}; positions count from 0"))
                })?),
            };
            Ok(InteractionRow {
                user_id,
                item_id,
                timestamp,
                clicked: labels.label(row)?,
                request_id: requests
                    .as_ref()
                    .and_then(|requests| requests.text(row))
                    .map(str::to_owned),
                position,
            })
        })
        .collect()
}
