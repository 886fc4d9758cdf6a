//! A parquet file being written, row by row.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_schema::{FieldRef, Schema};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use serde::Serialize;
use serde_arrow::ArrayBuilder;

use super::TableTarget;
use crate::DatasetError;

/// Rows of a row group; a reader and a writer hold about one at a time.
const ROW_GROUP_ROWS: usize = 131_072;
/// Rows that are turned into one batch of columns.
const CHUNK_ROWS: u64 = 8192;

/// A parquet file being written. A row is a struct with the names of the file's columns; a column that a
/// row does not name is null there, a name without a column is passed over.
pub(super) struct ParquetFile {
    path: PathBuf,
    columns: ArrayBuilder,
    writer: ArrowWriter<Sink>,
    rows: u64,
}

/// Where the bytes go.
enum Sink {
    /// Into a file that gets its name in the end.
    File { file: File, partial: PathBuf },
    /// To a reader, as they come.
    Stream(Box<dyn Write + Send>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

impl Sink {
    /// Of the file `name`; the folder is made if it is not there.
    fn open(target: TableTarget, name: &str) -> Result<Self, DatasetError> {
        let folder = match target {
            TableTarget::Folder(folder) => folder,
            TableTarget::Stream(stream) => return Ok(Self::Stream(stream)),
        };
        let partial = folder.join(format!("{name}.partial"));
        fs::create_dir_all(&folder).map_err(|source| DatasetError::Io { path: folder, source })?;
        let file = File::create(&partial)
            .map_err(|source| DatasetError::Io { path: partial.clone(), source })?;
        Ok(Self::File { file, partial })
    }
}

impl ParquetFile {
    /// Starts the file `name`.
    pub(super) fn create(
        target: TableTarget,
        name: &str,
        fields: Vec<FieldRef>,
    ) -> Result<Self, DatasetError> {
        let path = target.path(name);
        let sink = Sink::open(target, name)?;
        let columns = ArrayBuilder::from_arrow(&fields).map_err(|error| failed(&path, &error))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(sink, Arc::new(Schema::new(fields)), Some(properties))
            .map_err(|error| failed(&path, &error))?;
        Ok(Self { path, columns, writer, rows: 0 })
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
            self.write_chunk()?;
        }
        Ok(())
    }

    fn write_chunk(&mut self) -> Result<(), DatasetError> {
        let batch = self.columns.to_record_batch().map_err(|error| failed(&self.path, &error))?;
        self.writer.write(&batch).map_err(|error| failed(&self.path, &error))
    }

    /// Completes the file, one of a folder under its final name; how many rows it has.
    pub(super) fn finish(mut self) -> Result<u64, DatasetError> {
        self.write_chunk()?;
        let Self { path, writer, rows, .. } = self;
        let sink = writer.into_inner().map_err(|error| failed(&path, &error))?;
        match sink {
            Sink::File { file, partial } => {
                file.sync_all()
                    .map_err(|source| DatasetError::Io { path: partial.clone(), source })?;
                fs::rename(&partial, &path).map_err(|source| DatasetError::Io { path, source })?;
            }
            Sink::Stream(mut stream) => {
                stream.flush().map_err(|source| DatasetError::Io { path, source })?;
            }
        }
        Ok(rows)
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> DatasetError {
    DatasetError::Write { path: path.to_owned(), message: error.to_string() }
}
