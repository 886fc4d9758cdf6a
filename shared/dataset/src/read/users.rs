//! `users.parquet`.

use std::path::Path;

use plugrank_contract::{User, UserId};

use super::{
    Opened,
    items::{feature_values, unique},
    kind::{ColumnKind, Want},
    repeats::Repeats,
    table::Table,
};
use crate::{faults::Faults, names::USER_ID};

const COLUMNS: [Want; 1] = [Want { column: USER_ID, kind: ColumnKind::Text, required: true }];

pub(crate) fn users(path: &Path) -> Opened<User> {
    let table = Table::open(path, &COLUMNS)?;
    let (features, ignored) = table.further(&COLUMNS);
    let columns: Vec<&str> =
        [USER_ID].into_iter().chain(features.iter().map(String::as_str)).collect();
    let mut repeats = Repeats::default();
    let read = features.clone();
    table.batches(&columns, ignored, move |slice| {
        let ids = slice.cells(USER_ID, ColumnKind::Text)?;
        let features = slice.features(&read)?;
        let mut row_of = |row: usize| {
            let mut faults = Faults::default();
            let id = faults.keep(unique(&ids, row, UserId::MAX_BYTES, &mut repeats, "a user"));
            let features = feature_values(&features, row, &mut faults);
            faults.row(id.map(|id| User { user_id: UserId::from(id), features }))
        };
        Ok((0..slice.rows()).map(&mut row_of).collect())
    })
}
