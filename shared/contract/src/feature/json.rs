//! Feature values as JSON spells them.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

use super::{FeatureValue, FeatureValues, Number};

const EXPECTED: &str = "a text, a number, true, false, or a list of texts or of numbers";

/// Reads feature values by name, of which those that are `null` are missing.
///
/// # Errors
/// When one is no feature value.
pub fn present<'de, D: Deserializer<'de>>(from: D) -> Result<FeatureValues, D::Error> {
    let values: BTreeMap<String, Option<FeatureValue>> = BTreeMap::deserialize(from)?;
    Ok(values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

pub(super) fn value<'de, D: Deserializer<'de>>(from: D) -> Result<FeatureValue, D::Error> {
    from.deserialize_any(Value)
}

pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Number, D::Error> {
    match from.deserialize_any(Entry { expected: "a number" })? {
        Scalar::Number(number) => Ok(number),
        Scalar::Text(_) => Err(de::Error::custom("is text; it must be a number")),
    }
}

/// A value that is no list.
enum Scalar {
    Text(Box<str>),
    Number(Number),
}

impl From<Scalar> for FeatureValue {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => Self::Text(text),
            Scalar::Number(number) => Self::Number(number),
        }
    }
}

struct Value;

impl<'de> Visitor<'de> for Value {
    type Value = FeatureValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<FeatureValue, E> {
        Ok(FeatureValue::flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<FeatureValue, E> {
        Ok(number.into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<FeatureValue, E> {
        Ok(Number::from(number).into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<FeatureValue, E> {
        real(number).map(Into::into)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FeatureValue, E> {
        Ok(text.into())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<FeatureValue, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FeatureValue, A::Error> {
        let (mut texts, mut numbers, mut entries) = (Vec::new(), Vec::new(), 0);
        while let Some(entry) = list.next_element::<Option<ListEntry>>()? {
            entries += 1;
            match entry.map(|entry| entry.0) {
                Some(Scalar::Text(text)) => texts.push(text),
                Some(Scalar::Number(number)) => numbers.push(number),
                None => {}
            }
            if !texts.is_empty() && !numbers.is_empty() {
                return Err(de::Error::custom(
                    "a list holds either texts or numbers, and this one has both",
                ));
            }
        }
        // Those that are null count too: a caller writes as many.
        if entries > FeatureValue::MAX_ENTRIES {
            let most = FeatureValue::MAX_ENTRIES;
            return Err(de::Error::custom(format!("has {entries} entries; {most} is the most")));
        }
        Ok(match numbers.is_empty() {
            true => FeatureValue::Texts(texts.into()),
            false => FeatureValue::Numbers(numbers.into()),
        })
    }
}

struct ListEntry(Scalar);

impl<'de> Deserialize<'de> for ListEntry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Entry { expected: "a text or a number" }).map(Self)
    }
}

struct Entry {
    expected: &'static str,
}

impl Visitor<'_> for Entry {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Text(if flag { "true" } else { "false" }.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
        real(number).map(Scalar::Number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.into()))
    }
}

fn real<E: de::Error>(number: f64) -> Result<Number, E> {
    Number::new(number).ok_or_else(|| {
        E::custom(format!("{number} is beyond what a model can read; the most is {:e}", f32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<FeatureValue, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn invalid_feature_values_are_named() {
        for (json, part) in [
            ("null", "expected a text, a number, true, false, or a list"),
            ("{}", "expected a text, a number"),
            ("[[1]]", "expected a text or a number"),
            ("[1, {}]", "expected a text or a number"),
            ("1e39", "beyond what a model can read"),
            ("[1, -1e300]", "beyond what a model can read"),
            ("[\"a\", 1]", "this one has both"),
        ] {
            let message = read(json).unwrap_err();
            assert!(message.contains(part), "{json}: {message}");
        }
    }

    #[test]
    fn entries_that_are_null_count() {
        let list = |entries: usize| format!("[{}]", vec!["null"; entries].join(","));
        assert_eq!(read(&list(1024)).unwrap(), read("[]").unwrap());
        assert!(read(&list(1025)).unwrap_err().contains("has 1025 entries; 1024 is the most"));
    }

    #[test]
    fn whole_numbers_keep_their_digits() {
        assert_eq!(read("18446744073709551615").unwrap().to_string(), "18446744073709551615");
        assert_eq!(read("[9007199254740993, 0.5]").unwrap().to_string(), "[9007199254740993, 0.5]");
        assert_eq!(read("[true, \"x\"]").unwrap().to_string(), "[true, x]");
        assert_eq!(read("[null]").unwrap(), read("[]").unwrap());
    }

    #[test]
    fn null_is_missing() {
        let mut json = serde_json::Deserializer::from_str(r#"{"a": null, "b": 2}"#);
        let values = present(&mut json).unwrap();
        assert_eq!(values, FeatureValues::from([("b".to_owned(), 2.into())]));
    }
}
