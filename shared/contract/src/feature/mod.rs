//! Values of features: what items, users, requests and candidates say of themselves.

mod binary;
mod json;
mod number;

use std::{collections::BTreeMap, fmt};

pub use json::present;
pub use number::Number;

/// Feature values by name. A feature that is not there is missing.
pub type FeatureValues = BTreeMap<String, FeatureValue>;

/// The value of a feature.
///
/// In JSON it is a text, a number, a list of either, or `true` and `false`, which are texts. In
/// compact formats it takes one byte beside its content.
///
/// ```
/// use plugrank_contract::FeatureValue;
///
/// let read = |json| serde_json::from_str::<FeatureValue>(json);
/// assert_eq!(read("\"red\"").unwrap(), FeatureValue::from("red"));
/// assert_eq!(read("3.0").unwrap(), FeatureValue::from(3_i64));
/// assert_eq!(read("true").unwrap(), FeatureValue::from("true"));
/// assert_eq!(read("[1, null, 2]").unwrap().to_string(), "[1, 2]");
/// let error = read("[1, \"red\"]").unwrap_err().to_string();
/// assert!(error.starts_with("a list holds either texts or numbers"), "{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FeatureValue {
    /// A text.
    Text(Box<str>),
    /// A number.
    Number(Number),
    /// Several texts; may be none.
    Texts(Box<[Box<str>]>),
    /// Several numbers; may be none.
    Numbers(Box<[Number]>),
}

impl FeatureValue {
    /// Most entries of a list that a caller writes.
    pub const MAX_ENTRIES: usize = 1024;

    /// The text that stands for a flag: `true` or `false`.
    #[must_use]
    pub fn flag(flag: bool) -> Self {
        Self::from(if flag { "true" } else { "false" })
    }

    /// What it is, in words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "a number",
            Self::Texts(_) => "a list of texts",
            Self::Numbers(_) => "a list of numbers",
        }
    }

    /// How many texts or numbers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(_) | Self::Number(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// Whether it is a list without an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its texts; none where it is a number or a list of them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (one, many): (Option<&str>, &[Box<str>]) = match self {
            Self::Text(text) => (Some(text), &[]),
            Self::Texts(texts) => (None, texts),
            Self::Number(_) | Self::Numbers(_) => (None, &[]),
        };
        one.into_iter().chain(many.iter().map(|text| &**text))
    }

    /// Its numbers; none where it is a text or a list of them.
    #[must_use]
    pub fn numbers(&self) -> &[Number] {
        match self {
            Self::Number(number) => std::slice::from_ref(number),
            Self::Numbers(numbers) => numbers,
            Self::Text(_) | Self::Texts(_) => &[],
        }
    }

    /// Bytes it takes beside its own size.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(_) => 0,
            Self::Texts(texts) => texts.iter().map(|text| size_of::<Box<str>>() + text.len()).sum(),
            Self::Numbers(numbers) => size_of_val::<[Number]>(numbers),
        }
    }
}

impl From<&str> for FeatureValue {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for FeatureValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for FeatureValue {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<Number> for FeatureValue {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for FeatureValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, entries: &[T]) -> fmt::Result {
            f.write_str("[")?;
            for (at, entry) in entries.iter().enumerate() {
                f.write_str(if at == 0 { "" } else { ", " })?;
                entry.fmt(f)?;
            }
            f.write_str("]")
        }
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Texts(texts) => list(f, texts),
            Self::Numbers(numbers) => list(f, numbers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_small() {
        assert_eq!(size_of::<FeatureValue>(), 24);
        let bytes = |value: &FeatureValue| postcard::to_stdvec(value).unwrap().len();
        assert_eq!(bytes(&"red".into()), 5);
        assert_eq!(bytes(&3_i64.into()), 3);
        assert_eq!(bytes(&Number::new(0.5).unwrap().into()), 6);
        assert_eq!(bytes(&Number::new(0.1).unwrap().into()), 10);
    }

    #[test]
    fn values_round_trip_in_json_and_postcard() {
        let number = |number: f64| Number::new(number).unwrap();
        let values: [FeatureValue; 9] = [
            "".into(),
            "Für".into(),
            (-3_i64).into(),
            i64::MIN.into(),
            Number::from(u64::MAX).into(),
            number(0.1).into(),
            number(-2.5e-30).into(),
            FeatureValue::Texts(["a".into(), "b".into()].into()),
            FeatureValue::Numbers([1_i64.into(), number(0.25), number(1e30)].into()),
        ];
        for value in values {
            let bytes = postcard::to_stdvec(&value).unwrap();
            assert_eq!(postcard::from_bytes::<FeatureValue>(&bytes).unwrap(), value);
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<FeatureValue>(&json).unwrap(), value, "{json}");
        }
    }
}
