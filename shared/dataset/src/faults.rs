//! What is wrong with one row.

use crate::DatasetError;

/// What is wrong with one row.
#[derive(Default)]
pub(crate) struct Faults(Vec<DatasetError>);

impl Faults {
    /// A value, or its error remembered.
    pub(crate) fn keep<T>(&mut self, found: Result<T, DatasetError>) -> Option<T> {
        match found {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(error);
                None
            }
        }
    }

    /// The row, where all of it was right.
    pub(crate) fn row<T>(self, row: Option<T>) -> Result<T, Vec<DatasetError>> {
        row.filter(|_| self.0.is_empty()).ok_or(self.0)
    }
}
