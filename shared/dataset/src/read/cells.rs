//! One column of a batch, cast to its canonical type, read cell by cell.

use std::path::Path;

use arrow_array::{
    Array, ArrayRef,
    cast::AsArray,
    types::{Float32Type, Int64Type},
};
use arrow_cast::cast;

use super::kind::ColumnKind;
use crate::{DatasetError, DatasetRule};

/// Milliseconds from 1980 to 2100; what whole numbers of other units look like follows from it.
const PLAUSIBLE_MS: std::ops::Range<i64> = 315_532_800_000..4_102_444_800_000;

/// One column of a batch.
pub(crate) struct Cells<'a> {
    path: &'a Path,
    column: String,
    first_row: u64,
    array: ArrayRef,
    /// Whether the file has whole numbers, without a unit.
    whole_numbers: bool,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(
        path: &'a Path,
        column: &str,
        first_row: u64,
        found: &ArrayRef,
        kind: ColumnKind,
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
        let whole_numbers = found.data_type().is_integer();
        let cells = Self { path, column: column.to_owned(), first_row, array, whole_numbers };
        if cells.array.null_count() > found.logical_null_count() {
            let lost =
                (0..found.len()).find(|&row| !found.is_null(row) && cells.array.is_null(row));
            if let Some(row) = lost {
                let problem = format!("does not fit; write it as {}", kind.wanted());
                return Err(cells.wrong(row, DatasetRule::Range, problem));
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
            None => Err(self.wrong(row, DatasetRule::Null, "is null; every row needs an id")),
            Some("") => Err(self.wrong(row, DatasetRule::Empty, "is empty; every row needs an id")),
            Some(id) if id.len() > max_bytes => {
                let problem = format!("has {} bytes; an id may have at most {max_bytes}", id.len());
                Err(self.wrong(row, DatasetRule::Length, problem))
            }
            Some(id) => Ok(id),
        }
    }

    /// A list of texts; null is the empty list, null and empty entries are left out.
    pub(crate) fn texts(&self, row: usize) -> Vec<String> {
        let Some(lists) = self.array.as_list_opt::<i32>().filter(|lists| lists.is_valid(row))
        else {
            return Vec::new();
        };
        let values = lists.value(row);
        let Some(values) = values.as_string_opt::<i32>() else {
            return Vec::new();
        };
        values.iter().flatten().filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    /// A whole number, when there is one.
    pub(crate) fn integer(&self, row: usize) -> Option<i64> {
        let array = self.array.as_primitive_opt::<Int64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    }

    /// A whole number that must be there.
    pub(crate) fn required_integer(&self, row: usize) -> Result<i64, DatasetError> {
        self.integer(row)
            .ok_or_else(|| self.wrong(row, DatasetRule::Null, "is null; every row needs a value"))
    }

    /// A time, when there is one. A whole number has no unit: where times are milliseconds and the
    /// first batch's are all plausible as another unit only, its first row is wrong.
    pub(crate) fn time(&self, row: usize, milliseconds: bool) -> Result<Option<i64>, DatasetError> {
        let judged = milliseconds && self.whole_numbers && self.first_row == 0 && row == 0;
        match judged.then(|| self.other_unit()).flatten() {
            None => Ok(self.integer(row)),
            Some((time, unit)) => {
                let problem = format!(
                    "all values look like {unit}, such as {time}; a whole number is milliseconds \
                     since 1970, or write a timestamp column"
                );
                Err(self.wrong(row, DatasetRule::Unit, problem))
            }
        }
    }

    /// A value and the unit that all values are in, where that is not milliseconds.
    fn other_unit(&self) -> Option<(i64, &'static str)> {
        let mut times = (0..self.array.len()).filter_map(|row| self.integer(row));
        let first = times.next()?;
        let unit = other_unit(first)?;
        times.all(|time| other_unit(time) == Some(unit)).then_some((first, unit))
    }

    /// A time that must be there.
    pub(crate) fn required_time(
        &self,
        row: usize,
        milliseconds: bool,
    ) -> Result<i64, DatasetError> {
        self.required_integer(row)?;
        self.time(row, milliseconds).map(Option::unwrap_or_default)
    }

    /// A flag, when there is one.
    pub(crate) fn flag(&self, row: usize) -> Result<Option<bool>, DatasetError> {
        match self.integer(row) {
            None => Ok(None),
            Some(0) => Ok(Some(false)),
            Some(1) => Ok(Some(true)),
            Some(other) => {
                Err(self.wrong(row, DatasetRule::Flag, format!("is {other}; write true or false")))
            }
        }
    }

    /// Whether a label says "clicked".
    pub(crate) fn label(&self, row: usize, clicks_only: bool) -> Result<bool, DatasetError> {
        match self.required_integer(row)? {
            0 if clicks_only => Err(self.wrong(
                row,
                DatasetRule::Clicks,
                "is 0, but dataset.json says \"negatives\": \"matched\", only clicks were recorded",
            )),
            0 => Ok(false),
            1 => Ok(true),
            other => {
                let problem =
                    format!("is {other}; write 1 for a click and 0 for an impression without one");
                Err(self.wrong(row, DatasetRule::Flag, problem))
            }
        }
    }

    /// A probability.
    pub(crate) fn probability(&self, row: usize) -> Result<f32, DatasetError> {
        let array = self.array.as_primitive_opt::<Float32Type>();
        match array.filter(|array| array.is_valid(row)).map(|array| array.value(row)) {
            Some(value) if (0.0..=1.0).contains(&value) => Ok(value),
            Some(value) => Err(self.wrong(
                row,
                DatasetRule::Range,
                format!("is {value}; write a number in 0..=1"),
            )),
            None => Err(self.wrong(row, DatasetRule::Null, "is null; every row needs a value")),
        }
    }

    /// An error at a row of this batch.
    pub(crate) fn wrong(
        &self,
        row: usize,
        rule: DatasetRule,
        problem: impl Into<String>,
    ) -> DatasetError {
        DatasetError::value(self.path, &self.column, self.first_row + row as u64, rule, problem)
    }
}

/// The unit that a whole number is in, where it cannot be milliseconds.
fn other_unit(time: i64) -> Option<&'static str> {
    let milliseconds = |number: Option<i64>| number.is_some_and(|ms| PLAUSIBLE_MS.contains(&ms));
    if milliseconds(time.checked_mul(1000)) {
        Some("seconds")
    } else if milliseconds(Some(time / 1000)) {
        Some("microseconds")
    } else if milliseconds(Some(time / 1_000_000)) {
        Some("nanoseconds")
    } else {
        None
    }
}
