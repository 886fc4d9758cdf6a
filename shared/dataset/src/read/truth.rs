//! `truth.parquet`.

use std::path::Path;

use plugrank_contract::{ItemId, UserId};

use super::{
    Opened, Rules,
    kind::{ColumnKind, Want},
    table::Table,
};
use crate::{
    DatasetRule, TruthRow,
    faults::Faults,
    names::{ITEM_ID, PROBABILITY, TIMESTAMP, USER_ID},
    order::Order,
};

const COLUMNS: [Want; 4] = [
    Want { column: USER_ID, kind: ColumnKind::Text, required: true },
    Want { column: ITEM_ID, kind: ColumnKind::Text, required: true },
    Want { column: TIMESTAMP, kind: ColumnKind::Time, required: true },
    Want { column: PROBABILITY, kind: ColumnKind::Float, required: true },
];

pub(crate) fn truth(path: &Path, rules: Rules) -> Opened<TruthRow> {
    let table = Table::open(path, &COLUMNS)?;
    let (text, rest) = table.further(&COLUMNS);
    let mut order = Order::default();
    table.batches(&COLUMNS.map(|want| want.column), [text, rest].concat(), move |slice| {
        let users = slice.cells(USER_ID, ColumnKind::Text)?;
        let items = slice.cells(ITEM_ID, ColumnKind::Text)?;
        let times = slice.cells(TIMESTAMP, ColumnKind::Time)?;
        let probabilities = slice.cells(PROBABILITY, ColumnKind::Float)?;
        let mut row_of = |row: usize| {
            let mut faults = Faults::default();
            let user_id = faults.keep(users.id(row, UserId::MAX_BYTES)).map(UserId::from);
            let item_id = faults.keep(items.id(row, ItemId::MAX_BYTES)).map(ItemId::from);
            let timestamp = faults.keep(times.required_time(row, rules.milliseconds));
            if let (Some(timestamp), Some(user_id), Some(item_id)) = (timestamp, &user_id, &item_id)
            {
                let sorted = order.check(timestamp, user_id, item_id);
                faults
                    .keep(sorted.map_err(|problem| times.wrong(row, DatasetRule::Order, problem)));
            }
            let probability = faults.keep(probabilities.probability(row));
            let found = user_id.zip(item_id).zip(timestamp.zip(probability));
            faults.row(found.map(|((user_id, item_id), (timestamp, probability))| TruthRow {
                user_id,
                item_id,
                timestamp,
                probability,
            }))
        };
        Ok((0..slice.rows()).map(&mut row_of).collect())
    })
}
