//! Feature columns being written.

use std::sync::Arc;

use arrow_array::{
    ArrayRef,
    builder::{
        ArrayBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder, UInt64Builder,
    },
};
use arrow_schema::{DataType, Field};
use plugrank_contract::{FeatureValue, feature::Number};

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
    pub(super) fn data_type(self) -> DataType {
        match self.list {
            true => DataType::List(Field::new("item", self.entry_type(), true).into()),
            false => self.entry_type(),
        }
    }

    /// The column of these values.
    pub(super) fn column<'v>(
        self,
        values: impl Iterator<Item = Option<&'v FeatureValue>>,
    ) -> ArrayRef {
        match self.entry_type() {
            DataType::Float64 => self.build(values, Float64Builder::new(), |to, entry| {
                to.append_option(entry.map(|entry| entry.number().as_f64()));
            }),
            DataType::UInt64 => self.build(values, UInt64Builder::new(), |to, entry| {
                to.append_option(entry.and_then(|entry| entry.number().as_u64()));
            }),
            DataType::Int64 => self.build(values, Int64Builder::new(), |to, entry| {
                to.append_option(entry.and_then(|entry| entry.number().as_i64()));
            }),
            _ => self.build(values, StringBuilder::new(), |to, entry| match entry {
                Some(Entry::Text(text)) => to.append_value(text),
                Some(Entry::Number(number)) => to.append_value(number.to_string()),
                None => to.append_null(),
            }),
        }
    }

    fn build<'v, B: ArrayBuilder>(
        self,
        values: impl Iterator<Item = Option<&'v FeatureValue>>,
        mut builder: B,
        append: impl Fn(&mut B, Option<Entry<'v>>),
    ) -> ArrayRef {
        if !self.list {
            values.for_each(|value| append(&mut builder, value.and_then(|v| entries(v).next())));
            return builder.finish();
        }
        let mut lists = ListBuilder::new(builder);
        for value in values {
            let there = value.into_iter().flat_map(entries);
            there.for_each(|entry| append(lists.values(), Some(entry)));
            lists.append(value.is_some());
        }
        Arc::new(lists.finish())
    }
}

/// A value that is no list.
enum Entry<'v> {
    Text(&'v str),
    Number(Number),
}

impl Entry<'_> {
    /// The number; texts are written to columns of texts only.
    fn number(&self) -> Number {
        match self {
            Self::Number(number) => *number,
            Self::Text(_) => 0_i64.into(),
        }
    }
}

fn entries(value: &FeatureValue) -> impl Iterator<Item = Entry<'_>> {
    let numbers = value.numbers().iter().map(|number| Entry::Number(*number));
    value.texts().map(Entry::Text).chain(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_holds_all_exactly() {
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
