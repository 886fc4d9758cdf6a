//! Feature columns being written.

use std::{collections::HashSet, path::Path};

use arrow_schema::{DataType, FieldRef};
use plugrank_contract::{FeatureValue, FeatureValues, feature::Number};
use serde::{Serialize, Serializer};

use super::columns::{list, optional};
use crate::{DatasetError, DatasetRule};

/// Whole numbers up to here are f64 exactly.
const EXACT: u64 = 1 << 53;

/// What a feature column holds, and with it the type that holds all of it exactly: whole numbers, other
/// numbers, or texts; where no type of numbers does, and where numbers and texts meet, texts.
///
/// ```
/// use plugrank_contract::FeatureValue;
/// use plugrank_dataset::FeatureType;
///
/// let of = |value: FeatureValue| FeatureType::from_value(&value);
/// let mixed = of(3.into()).with(of("three".into()));
/// assert!(mixed.holds(&"four".into()) && mixed.holds(&4.into()));
/// assert!(!of(3.into()).holds(&"four".into()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureType {
    text: bool,
    list: bool,
    real: bool,
    negative: bool,
    /// Whole numbers that are not exact as f64.
    wide: bool,
    /// Whole numbers above `i64::MAX`.
    large: bool,
}

impl FeatureType {
    /// One text a row.
    pub const TEXT: Self =
        Self { text: true, list: false, real: false, negative: false, wide: false, large: false };

    /// What holds this value.
    #[must_use]
    pub fn from_value(value: &FeatureValue) -> Self {
        let form = Self {
            text: matches!(value, FeatureValue::Text(_) | FeatureValue::Texts(_)),
            list: matches!(value, FeatureValue::Texts(_) | FeatureValue::Numbers(_)),
            ..Self::default()
        };
        value.numbers().iter().fold(form, |form, number| form.with(Self::of_number(*number)))
    }

    fn of_number(number: Number) -> Self {
        let negative = number.as_i64().is_some_and(i64::is_negative);
        let size = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
        Self {
            real: size.is_none(),
            negative,
            wide: size.is_some_and(|size| size > EXACT),
            large: number.as_i64().is_none() && size.is_some(),
            ..Self::default()
        }
    }

    /// What holds all that either holds.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            text: self.text || other.text,
            list: self.list || other.list,
            real: self.real || other.real,
            negative: self.negative || other.negative,
            wide: self.wide || other.wide,
            large: self.large || other.large,
        }
    }

    /// Whether a column of this type can take the value.
    #[must_use]
    pub fn holds(self, value: &FeatureValue) -> bool {
        self.data_type() == self.with(Self::from_value(value)).data_type()
    }

    fn entry_type(self) -> DataType {
        let Self { text, real, negative, wide, large, .. } = self;
        match (text || real && wide || negative && large, real, large) {
            (true, _, _) => DataType::Utf8,
            (_, true, _) => DataType::Float64,
            (_, _, true) => DataType::UInt64,
            _ => DataType::Int64,
        }
    }

    /// The arrow type.
    fn data_type(self) -> DataType {
        match self.list {
            true => list(self.entry_type()),
            false => self.entry_type(),
        }
    }
}

/// The feature columns of a file.
pub(super) struct FeatureColumns(Vec<(String, FeatureType)>);

impl FeatureColumns {
    /// Columns and what they hold, in this order.
    ///
    /// # Errors
    /// They repeat each other or take a name of the format.
    pub(super) fn new(
        path: &Path,
        columns: &[(&str, FeatureType)],
        reserved: &[&str],
    ) -> Result<Self, DatasetError> {
        let mut seen: HashSet<&str> = reserved.iter().copied().collect();
        match columns.iter().find(|(name, _)| !seen.insert(name)) {
            Some((name, _)) => Err(DatasetError::DuplicateColumn {
                path: path.to_owned(),
                column: (*name).to_owned(),
            }),
            None => {
                Ok(Self(columns.iter().map(|(name, holds)| ((*name).into(), *holds)).collect()))
            }
        }
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = FieldRef> {
        self.0.iter().map(|(name, holds)| optional(name, holds.data_type()))
    }

    /// Refuses a feature that the file has no column for, or one of another type: it would be lost.
    pub(super) fn check(
        &self,
        path: &Path,
        row: u64,
        values: &FeatureValues,
    ) -> Result<(), DatasetError> {
        for (name, value) in values {
            let column = self.0.iter().find(|(column, _)| column == name);
            let (rule, problem) = match column {
                Some((_, found)) if found.holds(value) => continue,
                Some((_, found)) => {
                    let (kind, started_with) = (value.kind(), found.data_type());
                    let problem =
                        format!("is {kind}, but the file was started with {started_with}");
                    (DatasetRule::Type, problem)
                }
                None => (
                    DatasetRule::Column,
                    "the file was started without this feature column; name it when creating the \
                     writer"
                        .to_owned(),
                ),
            };
            return Err(DatasetError::value(path, name, row, rule, problem));
        }
        Ok(())
    }

    /// A row's values by column.
    pub(super) fn row<'a>(&'a self, values: &'a FeatureValues) -> FeatureRow<'a> {
        FeatureRow { columns: &self.0, values }
    }
}

/// The features of a row, as a map from column to value.
pub(super) struct FeatureRow<'a> {
    columns: &'a [(String, FeatureType)],
    values: &'a FeatureValues,
}

impl Serialize for FeatureRow<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.columns.iter().filter_map(|(name, holds)| {
            self.values.get(name).map(|value| (name, FeatureCell { holds: *holds, value }))
        }))
    }
}

/// A value as its column holds it.
struct FeatureCell<'a> {
    holds: FeatureType,
    value: &'a FeatureValue,
}

impl Serialize for FeatureCell<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let numbers = self.value.numbers().iter().map(|number| Entry::Number(*number, self.holds));
        let mut entries = self.value.texts().map(Entry::Text).chain(numbers);
        match self.holds.list {
            true => to.collect_seq(entries),
            false => entries.next().serialize(to),
        }
    }
}

/// A value that is no list.
enum Entry<'a> {
    Text(&'a str),
    Number(Number, FeatureType),
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => to.serialize_str(text),
            Self::Number(number, holds) => match holds.entry_type() {
                DataType::Float64 => to.serialize_f64(number.as_f64()),
                DataType::UInt64 => number.as_u64().serialize(to),
                DataType::Int64 => number.as_i64().serialize(to),
                _ => to.serialize_str(&number.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_type_holds_every_value_exactly() {
        let number = |number: f64| FeatureValue::from(Number::new(number).unwrap());
        let large = FeatureValue::from(Number::from(u64::MAX));
        let wide = FeatureValue::from((1_i64 << 53) + 1);
        for (values, expected) in [
            (vec![FeatureValue::from(1), (-1).into()], DataType::Int64),
            (vec![wide.clone(), (-1).into()], DataType::Int64),
            (vec![large.clone(), 1.into()], DataType::UInt64),
            (vec![number(0.5), 1.into()], DataType::Float64),
            (vec![large, (-1).into()], DataType::Utf8),
            (vec![wide, number(0.5)], DataType::Utf8),
            (vec!["a".into(), 1.into()], DataType::Utf8),
        ] {
            let types = values.iter().map(FeatureType::from_value);
            let of_all = types.reduce(FeatureType::with).unwrap();
            assert_eq!(of_all.data_type(), expected, "{values:?}");
            assert!(values.iter().all(|value| of_all.holds(value)));
        }
        let list = FeatureValue::Numbers([1_i64.into()].into());
        assert!(!FeatureType::from_value(&1.into()).holds(&list));
        assert!(FeatureType::from_value(&list).holds(&1.into()));
    }
}
