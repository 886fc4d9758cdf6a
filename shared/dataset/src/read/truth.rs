//! `truth.parquet`.

use std::path::Path;

use plugrank_contract::{ItemId, UserId};

use super::{Batches, kind::Kind, table::Table};
use crate::{
    DatasetError, TruthRow,
    names::{ITEM_ID, PROBABILITY, TIMESTAMP, USER_ID},
    order::Order,
};

const COLUMNS: [&str; 4] = [USER_ID, ITEM_ID, TIMESTAMP, PROBABILITY];

pub(crate) fn truth(path: &Path) -> Result<Batches<TruthRow>, DatasetError> {
    let table = Table::open(path)?;
    table.require(USER_ID, Kind::Text)?;
    table.require(ITEM_ID, Kind::Text)?;
    table.require(TIMESTAMP, Kind::Time)?;
    table.require(PROBABILITY, Kind::Float)?;
    let (text, rest) = table.further(&COLUMNS);
    let mut order = Order::default();
    table.batches(&COLUMNS, [text, rest].concat(), move |slice| {
        let users = slice.cells(USER_ID, Kind::Text)?;
        let items = slice.cells(ITEM_ID, Kind::Text)?;
        let times = slice.cells(TIMESTAMP, Kind::Time)?;
        let probabilities = slice.cells(PROBABILITY, Kind::Float)?;
        (0..slice.rows())
            .map(|row| {
                let user_id = UserId::from(users.id(row, UserId::MAX_BYTES)?);
                let item_id = ItemId::from(items.id(row, ItemId::MAX_BYTES)?);
                let timestamp = times.required_integer(row)?;
                order
                    .check(timestamp, &user_id, &item_id)
                    .map_err(|problem| times.wrong(row, problem))?;
                let probability = probabilities.probability(row)?;
                Ok(TruthRow { user_id, item_id, timestamp, probability })
            })
            .collect()
    })
}
