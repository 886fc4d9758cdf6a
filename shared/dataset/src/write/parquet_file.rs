//! A parquet file being written.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};

use crate::DatasetError;

/// Rows of a row group; a reader and a writer hold about one at a time.
const ROW_GROUP_ROWS: usize = 131_072;
/// Rows that are turned into one batch of columns.
pub(super) const CHUNK_ROWS: usize = 8192;

/// A parquet file being written.
pub(super) struct ParquetFile {
    path: PathBuf,
    partial: PathBuf,
    schema: SchemaRef,
    writer: ArrowWriter<File>,
    rows: u64,
}

impl ParquetFile {
    /// Starts a file in `folder`, which is made if it is not there.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        fields: Vec<Field>,
    ) -> Result<Self, DatasetError> {
        fs::create_dir_all(folder)
            .map_err(|source| DatasetError::Io { path: folder.to_owned(), source })?;
        let path = folder.join(name);
        let partial = folder.join(format!("{name}.partial"));
        let file = File::create(&partial)
            .map_err(|source| DatasetError::Io { path: partial.clone(), source })?;
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .map_err(|error| failed(&partial, &error))?;
        Ok(Self { path, partial, schema, writer, rows: 0 })
    }

    /// The final path, for error messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Rows written so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends rows, given as columns in the order of the fields.
    pub(super) fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), DatasetError> {
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| failed(&self.path, &error))?;
        self.writer.write(&batch).map_err(|error| failed(&self.path, &error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Completes the file under its final name; how many rows it has.
    pub(super) fn finish(self) -> Result<u64, DatasetError> {
        let file = self.writer.into_inner().map_err(|error| failed(&self.path, &error))?;
        file.sync_all()
            .map_err(|source| DatasetError::Io { path: self.partial.clone(), source })?;
        fs::rename(&self.partial, &self.path)
            .map_err(|source| DatasetError::Io { path: self.path, source })?;
        Ok(self.rows)
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> DatasetError {
    DatasetError::Write { path: path.to_owned(), message: error.to_string() }
}
