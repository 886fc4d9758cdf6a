//! Folders to read in tests.

use std::{fs::File, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, Int64Array, RecordBatch, StringArray,
    builder::{ListBuilder, StringBuilder},
};
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use plugrank_dataset::{DatasetFolder, DatasetMeta, Negatives, Time};

/// Writes columns as they are, whatever their types and names.
pub(crate) fn raw(folder: &Path, file: &str, columns: Vec<(&str, ArrayRef)>) {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(folder.join(file)).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

pub(crate) fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

pub(crate) fn numbers(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

pub(crate) fn lists(values: &[&[&str]]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for entries in values {
        builder.append_value(entries.iter().map(Some));
    }
    Arc::new(builder.finish())
}

pub(crate) fn meta() -> DatasetMeta {
    DatasetMeta {
        name: "test".to_owned(),
        time: Time::Ms,
        negatives: Negatives::Logged,
        more: serde_json::Map::new(),
    }
}

/// A folder with `dataset.json` alone, opened.
pub(crate) fn folder() -> (tempfile::TempDir, DatasetFolder) {
    let dir = tempfile::tempdir().unwrap();
    meta().write(dir.path()).unwrap();
    let folder = DatasetFolder::open(dir.path()).unwrap();
    (dir, folder)
}

/// The message of the first error of a table, at opening or while reading.
pub(crate) fn problem<T>(
    table: Result<plugrank_dataset::Batches<T>, plugrank_dataset::DatasetError>,
) -> String {
    match table {
        Err(error) => error.to_string(),
        Ok(batches) => match batches.collect::<Result<Vec<_>, _>>() {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the table was read without an error"),
        },
    }
}
