//! A parquet file being written, row by row.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_schema::{FieldRef, Schema};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use serde::Serialize;
use serde_arrow::ArrayBuilder;

use crate::DatasetError;

/// Rows of a row group; a reader and a writer hold about one at a time.
const ROW_GROUP_ROWS: usize = 131_072;
/// Rows that are turned into one batch of columns.
const CHUNK_ROWS: u64 = 8192;

/// A parquet file being written. A row is whatever serializes to its columns by name; a column that a row
/// does not name is null there.
pub(super) struct ParquetFile {
    path: PathBuf,
    partial: PathBuf,
    columns: ArrayBuilder,
    writer: ArrowWriter<File>,
    rows: u64,
}

impl ParquetFile {
    /// Starts a file in `folder`, which is made if it is not there.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        fields: Vec<FieldRef>,
    ) -> Result<Self, DatasetError> {
        fs::create_dir_all(folder)
            .map_err(|source| DatasetError::Io { path: folder.to_owned(), source })?;
        let path = folder.join(name);
        let partial = folder.join(format!("{name}.partial"));
        let file = File::create(&partial)
            .map_err(|source| DatasetError::Io { path: partial.clone(), source })?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let columns =
            ArrayBuilder::from_arrow(&fields).map_err(|error| failed(&partial, &error))?;
        let writer = ArrowWriter::try_new(file, Arc::new(Schema::new(fields)), Some(properties))
            .map_err(|error| failed(&partial, &error))?;
        Ok(Self { path, partial, columns, writer, rows: 0 })
    }

    /// The final path, for error messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Rows so far: the number of the next one.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends a row.
    pub(super) fn write(&mut self, row: &impl Serialize) -> Result<(), DatasetError> {
        self.columns.push(row).map_err(|error| failed(&self.path, &error))?;
        self.rows += 1;
        if self.rows.is_multiple_of(CHUNK_ROWS) {
            self.flush()?;
        }
        Ok(())
    }

    /// Completes the file under its final name; how many rows it has.
    pub(super) fn finish(mut self) -> Result<u64, DatasetError> {
        self.flush()?;
        let file = self.writer.into_inner().map_err(|error| failed(&self.path, &error))?;
        file.sync_all()
            .map_err(|source| DatasetError::Io { path: self.partial.clone(), source })?;
        fs::rename(&self.partial, &self.path)
            .map_err(|source| DatasetError::Io { path: self.path, source })?;
        Ok(self.rows)
    }

    fn flush(&mut self) -> Result<(), DatasetError> {
        let batch = self.columns.to_record_batch().map_err(|error| failed(&self.path, &error))?;
        self.writer.write(&batch).map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> DatasetError {
    DatasetError::Write { path: path.to_owned(), message: error.to_string() }
}
