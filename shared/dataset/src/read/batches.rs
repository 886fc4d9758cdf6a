//! Batches of rows, one after the other.

use std::{fmt, path::PathBuf};

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::DatasetError;

type Decode<T> = Box<dyn FnMut(&RecordBatch, u64) -> Result<Vec<T>, DatasetError> + Send>;

/// Rows of one table, in batches, in the order of the file. Ends after the first error.
pub struct Batches<T> {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    decode: Decode<T>,
    rows: u64,
    ignored: Vec<String>,
    next_row: u64,
    ended: bool,
}

impl<T> Batches<T> {
    pub(crate) fn new(
        path: PathBuf,
        reader: ParquetRecordBatchReader,
        rows: u64,
        ignored: Vec<String>,
        decode: Decode<T>,
    ) -> Self {
        Self { path, reader, decode, rows, ignored, next_row: 0, ended: false }
    }

    /// Rows of the whole table.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Further columns that are not read because they hold no text.
    #[must_use]
    pub fn ignored_columns(&self) -> &[String] {
        &self.ignored
    }
}

impl<T> fmt::Debug for Batches<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("path", &self.path)
            .field("rows", &self.rows)
            .field("next_row", &self.next_row)
            .finish_non_exhaustive()
    }
}

impl<T> Iterator for Batches<T> {
    type Item = Result<Vec<T>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let rows = match self.reader.next() {
            None => {
                self.ended = true;
                return None;
            }
            Some(Err(error)) => Err(DatasetError::damaged(&self.path, &error)),
            Some(Ok(batch)) => {
                let rows = (self.decode)(&batch, self.next_row);
                self.next_row += batch.num_rows() as u64;
                rows
            }
        };
        self.ended = rows.is_err();
        Some(rows)
    }
}
