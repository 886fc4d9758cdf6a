//! `interactions.parquet`.

use std::path::Path;

use arrow_schema::DataType;
use plugrank_contract::{ItemId, UserId};
use serde::Serialize;

use super::{
    checks,
    columns::{optional, required},
    parquet_file::ParquetFile,
};
use crate::{
    DatasetError, DatasetRule, InteractionRow,
    names::{INTERACTIONS, ITEM_ID, LABEL, POSITION, REQUEST_ID, TIMESTAMP, USER_ID},
    order::Order,
};

/// Writes `interactions.parquet`.
pub struct InteractionWriter {
    file: ParquetFile,
    order: Order,
}

/// A row by the names of its columns.
#[derive(Serialize)]
struct Columns<'a> {
    user_id: &'a str,
    item_id: &'a str,
    timestamp: i64,
    label: i8,
    request_id: Option<&'a str>,
    position: Option<u32>,
}

impl InteractionWriter {
    /// Starts the file in `folder`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(folder: &Path) -> Result<Self, DatasetError> {
        let fields = vec![
            required(USER_ID, DataType::Utf8),
            required(ITEM_ID, DataType::Utf8),
            required(TIMESTAMP, DataType::Int64),
            required(LABEL, DataType::Int8),
            optional(REQUEST_ID, DataType::Utf8),
            optional(POSITION, DataType::Int32),
        ];
        let file = ParquetFile::create(folder, INTERACTIONS, fields)?;
        Ok(Self { file, order: Order::default() })
    }

    /// Appends an impression.
    ///
    /// # Errors
    /// It comes before the last one, an id is empty or too long, the position does not fit an
    /// int32, or the disk refuses.
    pub fn write(&mut self, row: &InteractionRow) -> Result<(), DatasetError> {
        let (path, number) = (self.file.path(), self.file.rows());
        checks::id(path, USER_ID, number, row.user_id.as_str(), UserId::MAX_BYTES)?;
        checks::id(path, ITEM_ID, number, row.item_id.as_str(), ItemId::MAX_BYTES)?;
        if row.position.is_some_and(|position| i32::try_from(position).is_err()) {
            let problem = format!("must be at most {}", i32::MAX);
            return Err(DatasetError::value(path, POSITION, number, DatasetRule::Range, problem));
        }
        self.order.check(row.timestamp, &row.user_id, &row.item_id).map_err(|problem| {
            DatasetError::value(path, TIMESTAMP, number, DatasetRule::Order, problem)
        })?;
        self.file.write(&Columns {
            user_id: row.user_id.as_str(),
            item_id: row.item_id.as_str(),
            timestamp: row.timestamp,
            label: i8::from(row.clicked),
            request_id: row.request_id.as_deref(),
            position: row.position,
        })
    }

    /// Completes the file; how many rows it has.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(self) -> Result<u64, DatasetError> {
        self.file.finish()
    }
}
