//! `truth.parquet`.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field};

use super::{
    TableTarget,
    parquet_file::{CHUNK_ROWS, ParquetFile},
};
use crate::{
    DatasetError, DatasetRule, TruthRow,
    names::{ITEM_ID, PROBABILITY, TIMESTAMP, TRUTH, USER_ID},
    order::Order,
};

/// Writes `truth.parquet`, row by row beside an [`crate::InteractionWriter`].
pub struct TruthWriter {
    file: ParquetFile,
    order: Order,
    waiting: Vec<TruthRow>,
}

impl TruthWriter {
    /// Starts the file in a folder, or as a stream.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(target: impl Into<TableTarget>) -> Result<Self, DatasetError> {
        let fields = vec![
            Field::new(USER_ID, DataType::Utf8, false),
            Field::new(ITEM_ID, DataType::Utf8, false),
            Field::new(TIMESTAMP, DataType::Int64, false),
            Field::new(PROBABILITY, DataType::Float32, false),
        ];
        let file = ParquetFile::create(target.into(), TRUTH, fields)?;
        Ok(Self { file, order: Order::default(), waiting: Vec::new() })
    }

    /// Appends a probability.
    ///
    /// # Errors
    /// It comes before the last one, is not in 0..=1, or the disk refuses.
    pub fn write(&mut self, row: TruthRow) -> Result<(), DatasetError> {
        let number = self.file.rows() + self.waiting.len() as u64;
        let path = self.file.path();
        if !(0.0..=1.0).contains(&row.probability) {
            let problem = format!("is {}; a probability is in 0..=1", row.probability);
            return Err(DatasetError::value(
                path,
                PROBABILITY,
                number,
                DatasetRule::Range,
                problem,
            ));
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
        let probabilities = rows.iter().map(|row| row.probability).collect::<Vec<_>>();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(users),
            Arc::new(items),
            Arc::new(Int64Array::from(times)),
            Arc::new(Float32Array::from(probabilities)),
        ];
        self.file.write(columns)
    }
}
