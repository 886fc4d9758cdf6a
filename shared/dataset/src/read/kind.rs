//! What a column should hold, and which parquet types can be read as that.

use arrow_schema::{DataType, Field, TimeUnit};

/// A column that a table may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) column: &'static str,
    pub(crate) kind: ColumnKind,
    /// Whether it must be there.
    pub(crate) required: bool,
}

/// What a column should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Text.
    Text,
    /// Lists of text.
    TextList,
    /// Whole numbers.
    Integer,
    /// Milliseconds.
    Time,
    /// 0 or 1.
    Label,
    /// True or false.
    Flag,
    /// A number.
    Float,
}

impl ColumnKind {
    /// The type to write, in words.
    pub(crate) fn wanted(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::TextList => "list of string",
            Self::Integer => "int32",
            Self::Time => "int64 (milliseconds)",
            Self::Label => "int8 (0 or 1)",
            Self::Flag => "bool",
            Self::Float => "float32",
        }
    }

    /// The arrow type that every accepted type is cast to.
    pub(crate) fn canonical(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::TextList => DataType::List(Field::new("item", DataType::Utf8, true).into()),
            Self::Integer | Self::Time | Self::Label | Self::Flag => DataType::Int64,
            Self::Float => DataType::Float32,
        }
    }

    /// Whether a type can be read as this without guessing. A column of nulls only has no type of
    /// its own and fits all.
    pub(crate) fn accepts(self, found: &DataType) -> bool {
        if found == &DataType::Null {
            return true;
        }
        match self {
            Self::Text => is_text(found),
            Self::TextList => match found {
                DataType::List(inner)
                | DataType::LargeList(inner)
                | DataType::FixedSizeList(inner, _) => {
                    inner.data_type() == &DataType::Null || is_text(inner.data_type())
                }
                _ => false,
            },
            Self::Integer => found.is_integer(),
            Self::Time => {
                found.is_integer()
                    || matches!(
                        found,
                        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64
                    )
            }
            Self::Label | Self::Flag => found.is_integer() || found == &DataType::Boolean,
            Self::Float => matches!(found, DataType::Float32 | DataType::Float64),
        }
    }

    /// The type to cast to first, where one cast does not do.
    pub(crate) fn step(self, found: &DataType) -> Option<DataType> {
        match (self, found) {
            (Self::Time, DataType::Timestamp(_, zone)) => {
                Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))
            }
            (Self::Time, DataType::Date32 | DataType::Date64) => {
                Some(DataType::Timestamp(TimeUnit::Millisecond, None))
            }
            _ => None,
        }
    }
}

/// Whether a column of this type holds text.
pub(crate) fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}
