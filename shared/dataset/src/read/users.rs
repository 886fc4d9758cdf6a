//! `users.parquet`.

use std::path::Path;

use plugrank_contract::{User, UserId};

use super::{
    Batches,
    items::{feature_cells, feature_values},
    kind::Kind,
    repeats::Repeats,
    table::Table,
};
use crate::{
    DatasetError,
    names::{USER_COLUMNS, USER_ID},
};

pub(crate) fn users(path: &Path) -> Result<Batches<User>, DatasetError> {
    let table = Table::open(path)?;
    table.require(USER_ID, Kind::Text)?;
    let (features, ignored) = table.further(&USER_COLUMNS);
    let columns: Vec<&str> =
        USER_COLUMNS.into_iter().chain(features.iter().map(String::as_str)).collect();
    let mut repeats = Repeats::default();
    let read = features.clone();
    table.batches(&columns, ignored, move |slice| {
        let ids = slice.cells(USER_ID, Kind::Text)?;
        let features = feature_cells(slice, &read)?;
        (0..slice.rows())
            .map(|row| {
                let id = ids.id(row, UserId::MAX_BYTES)?;
                if !repeats.is_new(id) {
                    return Err(ids.wrong(row, format!("`{id}` comes twice; keep one row a user")));
                }
                Ok(User { user_id: UserId::from(id), features: feature_values(&features, row) })
            })
            .collect()
    })
}
