//! Columns that are features: every type that is a feature value, cell by cell.

use std::path::Path;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, UInt64Array,
    cast::AsArray,
    types::{Float64Type, Int64Type, UInt64Type},
};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};
use plugrank_contract::{FeatureValue, feature::Number};

use super::kind::is_text;
use crate::{DatasetError, DatasetRule};

/// What may stand in a feature column, in words.
pub(crate) const WANTED: &str = "string, a number, bool, or a list of strings or numbers";

/// What one value of a feature column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scalar {
    Text,
    Flag,
    Integer,
    Unsigned,
    Real,
    /// Whole numbers of any size, read by their digits.
    Digits,
}

impl Scalar {
    fn from_type(found: &DataType) -> Option<Self> {
        Some(match found {
            _ if is_text(found) => Self::Text,
            DataType::Boolean => Self::Flag,
            DataType::UInt64 => Self::Unsigned,
            _ if found.is_integer() => Self::Integer,
            _ if found.is_floating() => Self::Real,
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => match scale {
                0 => Self::Digits,
                _ => Self::Real,
            },
            DataType::Dictionary(_, values) => Self::from_type(values)?,
            _ => return None,
        })
    }

    /// The arrow type it is cast to.
    fn canonical(self) -> DataType {
        match self {
            Self::Text | Self::Digits => DataType::Utf8,
            Self::Flag => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Real => DataType::Float64,
        }
    }
}

/// Whether a column of this type can be a feature.
pub(crate) fn is_value(found: &DataType) -> bool {
    form(found).is_some()
}

/// Whether a column of this type has one value a row.
pub(crate) fn is_scalar(found: &DataType) -> bool {
    matches!(form(found), Some((_, false)))
}

/// Whether a column of this type has one number a row.
pub(crate) fn is_number(found: &DataType) -> bool {
    use Scalar::{Digits, Integer, Real, Unsigned};
    matches!(form(found), Some((Integer | Unsigned | Real | Digits, false)))
}

/// What the values are, and whether they come as lists.
fn form(found: &DataType) -> Option<(Scalar, bool)> {
    match found {
        DataType::List(inner) | DataType::LargeList(inner) | DataType::FixedSizeList(inner, _) => {
            Some((Scalar::from_type(inner.data_type())?, true))
        }
        other => Some((Scalar::from_type(other)?, false)),
    }
}

/// One feature column of a batch.
pub(crate) struct Values<'a> {
    path: &'a Path,
    column: &'a str,
    first_row: u64,
    cells: Cells,
}

enum Cells {
    /// Null in every row.
    Absent,
    One(Entries),
    Lists(ListArray, Entries),
}

enum Entries {
    Text(StringArray),
    Flag(BooleanArray),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Real(Float64Array),
    Digits(StringArray),
}

/// A value that is no list.
enum Entry<'a> {
    Text(&'a str),
    Number(Number),
}

impl<'a> Values<'a> {
    pub(crate) fn new(
        path: &'a Path,
        column: &'a str,
        first_row: u64,
        found: &ArrayRef,
    ) -> Result<Self, DatasetError> {
        let values = |cells| Self { path, column, first_row, cells };
        if found.data_type() == &DataType::Null {
            return Ok(values(Cells::Absent));
        }
        let wrong = || DatasetError::ColumnType {
            path: path.to_owned(),
            column: column.to_owned(),
            found: found.data_type().to_string(),
            wanted: WANTED,
        };
        let (scalar, list) = form(found.data_type()).ok_or_else(wrong)?;
        let canonical = match list {
            true => DataType::List(Field::new("item", scalar.canonical(), true).into()),
            false => scalar.canonical(),
        };
        let array = cast(found, &canonical).map_err(|error| DatasetError::damaged(path, &error))?;
        let cells = match list {
            true => {
                let lists = array.as_list::<i32>().clone();
                let entries = Entries::new(lists.values(), scalar);
                Cells::Lists(lists, entries)
            }
            false => Cells::One(Entries::new(&array, scalar)),
        };
        Ok(values(cells))
    }

    /// The value of a row; `None` where it is null, empty or NaN.
    pub(crate) fn value(&self, row: usize) -> Result<Option<FeatureValue>, DatasetError> {
        match &self.cells {
            Cells::Absent => Ok(None),
            Cells::One(entries) => Ok(self.entry(entries, row, row)?.map(|entry| match entry {
                Entry::Text(text) => FeatureValue::from(text),
                Entry::Number(number) => number.into(),
            })),
            Cells::Lists(lists, _) if lists.is_null(row) => Ok(None),
            Cells::Lists(lists, entries) => {
                let offsets = lists.value_offsets();
                let (mut texts, mut numbers) = (Vec::new(), Vec::new());
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    match self.entry(entries, at, row)? {
                        None => {}
                        Some(Entry::Text(text)) => texts.push(text.into()),
                        Some(Entry::Number(number)) => numbers.push(number),
                    }
                }
                Ok(match (texts.is_empty(), numbers.is_empty()) {
                    (true, true) => None,
                    (false, _) => Some(FeatureValue::Texts(texts.into())),
                    (true, false) => Some(FeatureValue::Numbers(numbers.into())),
                })
            }
        }
    }

    fn entry<'e>(
        &self,
        entries: &'e Entries,
        at: usize,
        row: usize,
    ) -> Result<Option<Entry<'e>>, DatasetError> {
        entries.get(at).map_err(|number| {
            let problem = format!(
                "is {number}; a number is finite and at most {:e} either way, or absent (null)",
                f32::MAX
            );
            let row = self.first_row + row as u64;
            DatasetError::value(self.path, self.column, row, DatasetRule::Range, problem)
        })
    }
}

impl Entries {
    /// `array` has the canonical type of `scalar`.
    fn new(array: &ArrayRef, scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text => Self::Text(array.as_string().clone()),
            Scalar::Digits => Self::Digits(array.as_string().clone()),
            Scalar::Flag => Self::Flag(array.as_boolean().clone()),
            Scalar::Integer => Self::Integer(array.as_primitive::<Int64Type>().clone()),
            Scalar::Unsigned => Self::Unsigned(array.as_primitive::<UInt64Type>().clone()),
            Scalar::Real => Self::Real(array.as_primitive::<Float64Type>().clone()),
        }
    }

    /// An entry; `None` where it is null, empty or NaN. The number, where it is none that a feature has.
    fn get(&self, at: usize) -> Result<Option<Entry<'_>>, f64> {
        let there = |array: &dyn Array| array.is_valid(at);
        let real = |number: f64| match Number::new(number) {
            None if number.is_nan() => Ok(None),
            None => Err(number),
            Some(number) => Ok(Some(Entry::Number(number))),
        };
        match self {
            Self::Text(array) if there(array) => {
                let text = array.value(at);
                Ok((!text.is_empty()).then_some(Entry::Text(text)))
            }
            Self::Flag(array) if there(array) => {
                Ok(Some(Entry::Text(if array.value(at) { "true" } else { "false" })))
            }
            Self::Integer(array) if there(array) => Ok(Some(Entry::Number(array.value(at).into()))),
            Self::Unsigned(array) if there(array) => {
                Ok(Some(Entry::Number(array.value(at).into())))
            }
            Self::Real(array) if there(array) => real(array.value(at)),
            Self::Digits(array) if there(array) => {
                let digits = array.value(at);
                let whole = digits.parse::<i64>().map(Number::from);
                match whole.or_else(|_| digits.parse::<u64>().map(Number::from)) {
                    Ok(number) => Ok(Some(Entry::Number(number))),
                    Err(_) => real(digits.parse().unwrap_or(f64::INFINITY)),
                }
            }
            _ => Ok(None),
        }
    }
}
