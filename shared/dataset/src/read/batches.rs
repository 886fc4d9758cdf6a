//! Batches of rows, one after the other.

use std::{fmt, path::PathBuf, vec};

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::DatasetError;

/// A row, or all that is wrong with it.
pub(crate) type Row<T> = Result<T, Vec<DatasetError>>;
type Decode<T> = Box<dyn FnMut(&RecordBatch, u64) -> Result<Vec<Row<T>>, DatasetError> + Send>;

/// Columns beside those that every table of its kind has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Further {
    /// Those that are read.
    pub(crate) features: Vec<String>,
    /// Those that are not.
    pub(crate) ignored: Vec<String>,
}

/// Rows of one table, in batches, in the order of its files. Ends after the first error.
pub struct Batches<T> {
    path: PathBuf,
    readers: vec::IntoIter<(PathBuf, ParquetRecordBatchReader)>,
    reader: Option<(PathBuf, ParquetRecordBatchReader)>,
    decode: Decode<T>,
    rows: u64,
    further: Further,
    next_row: u64,
    ended: bool,
}

impl<T> Batches<T> {
    pub(crate) fn new(
        path: PathBuf,
        readers: Vec<(PathBuf, ParquetRecordBatchReader)>,
        rows: u64,
        further: Further,
        decode: Decode<T>,
    ) -> Self {
        let mut readers = readers.into_iter();
        let reader = readers.next();
        Self { path, readers, reader, decode, rows, further, next_row: 0, ended: false }
    }

    /// Rows of the whole table.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Further columns that are not read: those of a type that no feature has and, of interactions, all.
    #[must_use]
    pub fn ignored_columns(&self) -> &[String] {
        &self.further.ignored
    }

    /// Further columns that are read as features.
    #[must_use]
    pub fn feature_columns(&self) -> &[String] {
        &self.further.features
    }

    /// The next rows, each with what is wrong with it.
    pub(crate) fn next_batch(&mut self) -> Option<Result<Vec<Row<T>>, DatasetError>> {
        loop {
            let (path, reader) = self.reader.as_mut()?;
            match reader.next() {
                Some(Ok(batch)) => {
                    let rows = (self.decode)(&batch, self.next_row);
                    self.next_row += batch.num_rows() as u64;
                    return Some(rows);
                }
                Some(Err(error)) => return Some(Err(DatasetError::damaged(path, &error))),
                None => self.reader = self.readers.next(),
            }
        }
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
        let Some(batch) = self.next_batch() else {
            self.ended = true;
            return None;
        };
        let rows = batch.and_then(|rows| {
            rows.into_iter().collect::<Row<Vec<T>>>().map_err(|mut errors| errors.swap_remove(0))
        });
        self.ended = rows.is_err();
        Some(rows)
    }
}
