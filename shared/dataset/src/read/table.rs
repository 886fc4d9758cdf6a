//! One parquet file, opened and its columns checked.

use std::{
    collections::HashSet,
    fs::File,
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use super::{
    Batches,
    cells::Cells,
    kind::{Kind, is_text},
};
use crate::DatasetError;

/// Rows of a batch: enough to amortise the work per batch, few enough to stay in cache.
const BATCH_ROWS: usize = 8192;

/// One parquet file, opened.
pub(crate) struct Table {
    path: PathBuf,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

/// A batch and where in the file it lies.
pub(crate) struct Slice<'a> {
    path: &'a Path,
    batch: &'a RecordBatch,
    first_row: u64,
}

impl Table {
    /// Opens a file and refuses repeated column names.
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(|error| DatasetError::io(path, error))?;
        let is_file = file.metadata().map_err(|error| DatasetError::io(path, error))?.is_file();
        if !is_file {
            return Err(DatasetError::damaged(path, &"it is not a file"));
        }
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| DatasetError::damaged(path, &error))?;
        let mut seen = HashSet::new();
        for field in builder.schema().fields() {
            if !seen.insert(field.name()) {
                return Err(DatasetError::DuplicateColumn {
                    path: path.to_owned(),
                    column: field.name().clone(),
                });
            }
        }
        Ok(Self { path: path.to_owned(), builder })
    }

    /// Checks the type of a column that must be there.
    pub(crate) fn require(&self, column: &str, kind: Kind) -> Result<(), DatasetError> {
        if self.optional(column, kind)? {
            return Ok(());
        }
        Err(DatasetError::MissingColumn {
            path: self.path.clone(),
            column: column.to_owned(),
            wanted: kind.wanted(),
        })
    }

    /// Checks the type of a column that may be there; whether it is.
    pub(crate) fn optional(&self, column: &str, kind: Kind) -> Result<bool, DatasetError> {
        let Some((_, field)) = self.builder.schema().fields().find(column) else {
            return Ok(false);
        };
        if kind.accepts(field.data_type()) {
            return Ok(true);
        }
        Err(DatasetError::ColumnType {
            path: self.path.clone(),
            column: column.to_owned(),
            found: describe(field.data_type()),
            wanted: kind.wanted(),
        })
    }

    /// Columns beside the `known` ones: those that hold text (features), and the rest.
    pub(crate) fn further(&self, known: &[&str]) -> (Vec<String>, Vec<String>) {
        self.builder
            .schema()
            .fields()
            .iter()
            .filter(|field| !known.contains(&field.name().as_str()))
            .map(|field| (field.name().clone(), is_text(field.data_type())))
            .fold((Vec::new(), Vec::new()), |(mut text, mut rest), (name, is_text)| {
                if is_text {
                    text.push(name)
                } else {
                    rest.push(name)
                }
                (text, rest)
            })
    }

    /// Reads the named columns; `decode` makes rows of a batch.
    pub(crate) fn batches<T>(
        self,
        columns: &[&str],
        ignored: Vec<String>,
        mut decode: impl FnMut(&Slice<'_>) -> Result<Vec<T>, DatasetError> + Send + 'static,
    ) -> Result<Batches<T>, DatasetError> {
        let Self { path, builder } = self;
        let schema = builder.schema();
        let roots: Vec<usize> =
            columns.iter().filter_map(|column| schema.index_of(column).ok()).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows())
            .map_err(|_| DatasetError::damaged(&path, &"its row count is negative"))?;
        let reader = builder
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| DatasetError::damaged(&path, &error))?;
        let file = path.clone();
        let decode = move |batch: &RecordBatch, first_row: u64| {
            decode(&Slice { path: &file, batch, first_row })
        };
        Ok(Batches::new(path, reader, rows, ignored, Box::new(decode)))
    }
}

impl<'a> Slice<'a> {
    /// Rows in the batch.
    pub(crate) fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// A column that [`Table::require`] found.
    pub(crate) fn cells(&self, column: &str, kind: Kind) -> Result<Cells<'a>, DatasetError> {
        match self.optional(column, kind)? {
            Some(cells) => Ok(cells),
            None => Err(DatasetError::MissingColumn {
                path: self.path.to_owned(),
                column: column.to_owned(),
                wanted: kind.wanted(),
            }),
        }
    }

    /// A column that may not be there.
    pub(crate) fn optional(
        &self,
        column: &str,
        kind: Kind,
    ) -> Result<Option<Cells<'a>>, DatasetError> {
        self.batch
            .column_by_name(column)
            .map(|array| Cells::new(self.path, column, self.first_row, array, kind))
            .transpose()
    }

    /// An error at a row of this batch.
    pub(crate) fn wrong(&self, column: &str, row: usize, problem: String) -> DatasetError {
        DatasetError::value(self.path, column, self.first_row + row as u64, problem)
    }
}

fn describe(found: &DataType) -> String {
    found.to_string()
}
