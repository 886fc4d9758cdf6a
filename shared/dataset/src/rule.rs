//! What a column or a value must keep to. Training checks the same rules by the same names.

use std::fmt;

/// A rule of the dataset folder (`docs/dataset-format.md`, "Checks").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatasetRule {
    /// A file or folder of parts is there.
    File,
    /// The bytes are parquet, or JSON.
    Readable,
    /// A column is there.
    Column,
    /// A column's type can be read as what it holds.
    Type,
    /// A column's name comes once.
    Duplicate,
    /// A value is there.
    Null,
    /// An id is not empty.
    Empty,
    /// An id is not too long.
    Length,
    /// An id comes once.
    Repeated,
    /// A flag or label is 0 or 1.
    Flag,
    /// Only clicks, where `dataset.json` says so.
    Clicks,
    /// A whole number is milliseconds.
    Unit,
    /// Rows are sorted.
    Order,
    /// A number lies in its range.
    Range,
    /// An image is a file inside the folder.
    Image,
}

impl DatasetRule {
    /// The name that training gives it too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Readable => "readable",
            Self::Column => "column",
            Self::Type => "type",
            Self::Duplicate => "duplicate",
            Self::Null => "null",
            Self::Empty => "empty",
            Self::Length => "length",
            Self::Repeated => "repeated",
            Self::Flag => "flag",
            Self::Clicks => "clicks",
            Self::Unit => "unit",
            Self::Order => "order",
            Self::Range => "range",
            Self::Image => "image",
        }
    }
}

impl fmt::Display for DatasetRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
