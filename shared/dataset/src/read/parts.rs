//! The parquet files that a table is made of.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::DatasetError;

/// One file of a table, opened.
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) builder: ParquetRecordBatchReaderBuilder<File>,
}

impl Part {
    fn open(path: PathBuf) -> Result<Self, DatasetError> {
        let file = File::open(&path).map_err(|error| DatasetError::io(&path, error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|error| DatasetError::damaged(&path, &error))?;
        Ok(Self { path, builder })
    }
}

/// Opens a file, or every `*.parquet` of a folder in the order of their names, as Spark writes them.
pub(crate) fn open(path: &Path) -> Result<Vec<Part>, DatasetError> {
    let found = fs::metadata(path).map_err(|error| DatasetError::io(path, error))?;
    let paths = if found.is_dir() { parts(path)? } else { vec![path.to_owned()] };
    paths.into_iter().map(Part::open).collect()
}

fn parts(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let entries = fs::read_dir(folder).map_err(|error| DatasetError::io(folder, error))?;
    let mut parts = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| DatasetError::io(folder, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name.contains('=') {
            let problem = format!("`{name}` is a partition; write the column into the files");
            return Err(DatasetError::damaged(folder, &problem));
        }
        if name.ends_with(".parquet") && !name.starts_with(['_', '.']) {
            parts.push(path);
        }
    }
    if parts.is_empty() {
        return Err(DatasetError::damaged(folder, &"a folder without a file named `*.parquet`"));
    }
    parts.sort();
    Ok(parts)
}
