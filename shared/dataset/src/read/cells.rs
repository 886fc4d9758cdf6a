//! One column of a batch, cast to its canonical type, read cell by cell.

use std::path::Path;

use arrow_array::{
    Array, ArrayRef,
    cast::AsArray,
    types::{Float32Type, Int64Type},
};
use arrow_cast::cast;

use super::kind::Kind;
use crate::DatasetError;

/// One column of a batch.
pub(crate) struct Cells<'a> {
    path: &'a Path,
    column: String,
    first_row: u64,
    array: ArrayRef,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(
        path: &'a Path,
        column: &str,
        first_row: u64,
        found: &ArrayRef,
        kind: Kind,
    ) -> Result<Self, DatasetError> {
        let stepped = match kind.step(found.data_type()) {
            Some(step) => {
                cast(found, &step).map_err(|error| DatasetError::damaged(path, &error))?
            }
            None => found.clone(),
        };
        // `cast` turns what does not fit into null; that is an error here.
        let array = cast(&stepped, &kind.canonical())
            .map_err(|error| DatasetError::damaged(path, &error))?;
        let cells = Self { path, column: column.to_owned(), first_row, array };
        if cells.array.null_count() > found.logical_null_count() {
            let lost =
                (0..found.len()).find(|&row| !found.is_null(row) && cells.array.is_null(row));
            if let Some(row) = lost {
                return Err(
                    cells.wrong(row, format!("does not fit; write it as {}", kind.wanted()))
                );
            }
        }
        Ok(cells)
    }

    /// Text, when there is any.
    pub(crate) fn text(&self, row: usize) -> Option<&str> {
        let array = self.array.as_string_opt::<i32>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    /// An id: neither null nor empty nor too long.
    pub(crate) fn id(&self, row: usize, max_bytes: usize) -> Result<&str, DatasetError> {
        match self.text(row) {
            None => Err(self.wrong(row, "is null; every row needs an id")),
            Some("") => Err(self.wrong(row, "is empty; every row needs an id")),
            Some(id) if id.len() > max_bytes => Err(self
                .wrong(row, format!("has {} bytes; an id may have at most {max_bytes}", id.len()))),
            Some(id) => Ok(id),
        }
    }

    /// A list of texts; null is the empty list.
    pub(crate) fn texts(&self, row: usize) -> Result<Vec<String>, DatasetError> {
        let Some(lists) = self.array.as_list_opt::<i32>().filter(|lists| lists.is_valid(row))
        else {
            return Ok(Vec::new());
        };
        let values = lists.value(row);
        let Some(values) = values.as_string_opt::<i32>() else {
            return Ok(Vec::new());
        };
        values
            .iter()
            .map(|value| match value {
                Some(text) if !text.is_empty() => Ok(text.to_owned()),
                _ => Err(self.wrong(row, "has a null or empty entry; leave it out")),
            })
            .collect()
    }

    /// A whole number, when there is one.
    pub(crate) fn integer(&self, row: usize) -> Option<i64> {
        let array = self.array.as_primitive_opt::<Int64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    /// A whole number that must be there.
    pub(crate) fn required_integer(&self, row: usize) -> Result<i64, DatasetError> {
        self.integer(row).ok_or_else(|| self.wrong(row, "is null; every row needs a value"))
    }

    /// Whether a label says "clicked".
    pub(crate) fn label(&self, row: usize) -> Result<bool, DatasetError> {
        match self.required_integer(row)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.wrong(
                row,
                format!("is {other}; write 1 for a click and 0 for an impression without one"),
            )),
        }
    }

    /// A probability.
    pub(crate) fn probability(&self, row: usize) -> Result<f32, DatasetError> {
        let array = self.array.as_primitive_opt::<Float32Type>();
        match array.filter(|array| array.is_valid(row)).map(|array| array.value(row)) {
            Some(value) if (0.0..=1.0).contains(&value) => Ok(value),
            Some(value) => Err(self.wrong(row, format!("is {value}; write a number in 0..=1"))),
            None => Err(self.wrong(row, "is null; every row needs a value")),
        }
    }

    /// An error at a row of this batch.
    pub(crate) fn wrong(&self, row: usize, problem: impl Into<String>) -> DatasetError {
        DatasetError::value(self.path, &self.column, self.first_row + row as u64, problem)
    }
}
