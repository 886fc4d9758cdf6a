//! Feature values in compact formats, which do not say what a value is: one byte tells.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{FeatureValue, Number, json, number::Written};

#[derive(Deserialize)]
enum Value {
    Text(Box<str>),
    Number(Number),
    Texts(Box<[Box<str>]>),
    Numbers(Box<[Number]>),
}

/// A number in its fewest bytes.
#[derive(Serialize, Deserialize)]
enum Compact {
    Integer(i64),
    Large(u64),
    Single(f32),
    Double(f64),
}

impl Serialize for FeatureValue {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            return match self {
                Self::Text(text) => text.serialize(to),
                Self::Number(number) => number.serialize(to),
                Self::Texts(texts) => texts.serialize(to),
                Self::Numbers(numbers) => numbers.serialize(to),
            };
        }
        const NAME: &str = "FeatureValue";
        match self {
            Self::Text(text) => to.serialize_newtype_variant(NAME, 0, "Text", text),
            Self::Number(number) => to.serialize_newtype_variant(NAME, 1, "Number", number),
            Self::Texts(texts) => to.serialize_newtype_variant(NAME, 2, "Texts", texts),
            Self::Numbers(numbers) => to.serialize_newtype_variant(NAME, 3, "Numbers", numbers),
        }
    }
}

impl<'de> Deserialize<'de> for FeatureValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return json::value(from);
        }
        Ok(match Value::deserialize(from)? {
            Value::Text(text) => Self::Text(text),
            Value::Number(number) => Self::Number(number),
            Value::Texts(texts) => Self::Texts(texts),
            Value::Numbers(numbers) => Self::Numbers(numbers),
        })
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (self.written(), to.is_human_readable()) {
            (Written::Integer(number), true) => number.serialize(to),
            (Written::Large(number), true) => number.serialize(to),
            (Written::Real(number), true) => number.serialize(to),
            (Written::Integer(number), false) => Compact::Integer(number).serialize(to),
            (Written::Large(number), false) => Compact::Large(number).serialize(to),
            (Written::Real(number), false) => {
                let single = number as f32;
                let same = f64::from(single).to_bits() == number.to_bits();
                let compact = if same { Compact::Single(single) } else { Compact::Double(number) };
                compact.serialize(to)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return json::number(from);
        }
        let real = |number| {
            Self::new(number)
                .ok_or_else(|| de::Error::custom(format!("{number} is no feature value")))
        };
        match Compact::deserialize(from)? {
            Compact::Integer(number) => Ok(number.into()),
            Compact::Large(number) => Ok(number.into()),
            Compact::Single(number) => real(number.into()),
            Compact::Double(number) => real(number),
        }
    }
}
