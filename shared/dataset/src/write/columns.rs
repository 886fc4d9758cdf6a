//! Columns of files.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef};

/// A column with a value in every row.
pub(super) fn required(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, false))
}

/// A column that may be null.
pub(super) fn optional(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, true))
}

/// Lists of entries of one type.
pub(super) fn list(entry: DataType) -> DataType {
    DataType::List(optional("item", entry))
}
