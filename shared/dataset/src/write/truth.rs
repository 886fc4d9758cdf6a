//! `truth.parquet`.

use arrow_schema::DataType;
use serde::Serialize;

use super::{TableTarget, columns::required, parquet_file::ParquetFile};
use crate::{
    DatasetError, DatasetRule, TruthRow,
    names::{ITEM_ID, PROBABILITY, TIMESTAMP, TRUTH, USER_ID},
    order::Order,
};

/// Writes `truth.parquet`, row by row beside an [`crate::InteractionWriter`].
pub struct TruthWriter {
    file: ParquetFile,
    order: Order,
}

/// A row by the names of its columns.
#[derive(Serialize)]
struct TruthColumns<'a> {
    user_id: &'a str,
    item_id: &'a str,
    timestamp: i64,
    probability: f32,
}

impl TruthWriter {
    /// Starts the file in a folder, or as a stream.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(target: impl Into<TableTarget>) -> Result<Self, DatasetError> {
        let fields = vec![
            required(USER_ID, DataType::Utf8),
            required(ITEM_ID, DataType::Utf8),
            required(TIMESTAMP, DataType::Int64),
            required(PROBABILITY, DataType::Float32),
        ];
        let file = ParquetFile::create(target.into(), TRUTH, fields)?;
        Ok(Self { file, order: Order::default() })
    }

    /// Appends a probability.
    ///
    /// # Errors
    /// It comes before the last one, is not in 0..=1, or the disk refuses.
    pub fn write(&mut self, row: TruthRow) -> Result<(), DatasetError> {
        let (path, number) = (self.file.path(), self.file.rows());
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
        self.file.write(&TruthColumns {
            user_id: row.user_id.as_str(),
            item_id: row.item_id.as_str(),
            timestamp: row.timestamp,
            probability: row.probability,
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
