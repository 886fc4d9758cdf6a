//! `interactions.parquet`.

use std::{path::Path, sync::Arc};

use arrow_array::{ArrayRef, Float64Array, Int8Array, Int32Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field};
use plugrank_contract::{ItemId, UserId, feature::Number};

use super::{
    checks,
    parquet_file::{CHUNK_ROWS, ParquetFile},
};
use crate::{
    DatasetError, DatasetRule, InteractionRow,
    names::{
        ACTION, INTERACTIONS, ITEM_ID, LABEL, POSITION, REQUEST_ID, TIMESTAMP, USER_ID, VALUE,
    },
    order::Order,
};

/// Writes `interactions.parquet`.
pub struct InteractionWriter {
    file: ParquetFile,
    order: Order,
    waiting: Vec<InteractionRow>,
}

impl InteractionWriter {
    /// Starts the file in `folder`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(folder: &Path) -> Result<Self, DatasetError> {
        let fields = vec![
            Field::new(USER_ID, DataType::Utf8, false),
            Field::new(ITEM_ID, DataType::Utf8, false),
            Field::new(TIMESTAMP, DataType::Int64, false),
            Field::new(LABEL, DataType::Int8, false),
            Field::new(REQUEST_ID, DataType::Utf8, true),
            Field::new(POSITION, DataType::Int32, true),
            Field::new(ACTION, DataType::Utf8, true),
            Field::new(VALUE, DataType::Float64, true),
        ];
        let file = ParquetFile::create(folder, INTERACTIONS, fields)?;
        Ok(Self { file, order: Order::default(), waiting: Vec::new() })
    }

    /// Appends an impression.
    ///
    /// # Errors
    /// It comes before the last one, an id is empty or too long, the position does not fit an
    /// int32, or the disk refuses.
    pub fn write(&mut self, row: InteractionRow) -> Result<(), DatasetError> {
        let number = self.file.rows() + self.waiting.len() as u64;
        let path = self.file.path();
        checks::id(path, USER_ID, number, row.user_id.as_str(), UserId::MAX_BYTES)?;
        checks::id(path, ITEM_ID, number, row.item_id.as_str(), ItemId::MAX_BYTES)?;
        if row.position.is_some_and(|position| i32::try_from(position).is_err()) {
            let problem = format!("must be at most {}", i32::MAX);
            return Err(DatasetError::value(path, POSITION, number, DatasetRule::Range, problem));
        }
        self.order.check(row.timestamp, &row.user_id, &row.item_id).map_err(|problem| {
            DatasetError::value(path, TIMESTAMP, number, DatasetRule::Order, problem)
        })?;
        self.waiting.push(row);
        if self.waiting.len() == CHUNK_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Completes the file; how many rows it has.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<u64, DatasetError> {
        self.flush()?;
        self.file.finish()
    }

    fn flush(&mut self) -> Result<(), DatasetError> {
        let rows = std::mem::take(&mut self.waiting);
        let users = rows.iter().map(|row| Some(row.user_id.as_str())).collect::<StringArray>();
        let items = rows.iter().map(|row| Some(row.item_id.as_str())).collect::<StringArray>();
        let times = rows.iter().map(|row| row.timestamp).collect::<Vec<_>>();
        let labels = rows.iter().map(|row| i8::from(row.clicked)).collect::<Vec<_>>();
        let requests = rows.iter().map(|row| row.request_id.as_deref()).collect::<StringArray>();
        let positions =
            rows.iter().map(|row| row.position.map(|p| p as i32)).collect::<Int32Array>();
        let actions = rows.iter().map(|row| row.action.as_deref()).collect::<StringArray>();
        let values = rows.iter().map(|row| row.value.map(Number::as_f64)).collect::<Float64Array>();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(users),
            Arc::new(items),
            Arc::new(Int64Array::from(times)),
            Arc::new(Int8Array::from(labels)),
            Arc::new(requests),
            Arc::new(positions),
            Arc::new(actions),
            Arc::new(values),
        ];
        self.file.write(columns)
    }
}
