//! Columns of files.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef};

/// A column with a value in every row.
pub(super) fn required(name: &str, of: DataType) -> FieldRef {
    Arc::new(Field::new(name, of, false))
}

/// A column that may be null.
pub(super) fn optional(name: &str, of: DataType) -> FieldRef {
    Arc::new(Field::new(name, of, true))
}

/// Lists of entries of one type.
pub(super) fn list(of: DataType) -> DataType {
    DataType::List(optional("item", of))
}
