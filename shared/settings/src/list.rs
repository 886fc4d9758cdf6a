//! Lists, which the environment writes with commas.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// Reads a list of numbers, or one text with commas between them.
///
/// # Errors
/// Those of the deserializer, and when a part is no number.
pub fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<usize>, D::Error> {
    from.deserialize_any(List { what: "whole number", of: PhantomData })
}

/// Reads a list of texts, or one text with commas between them.
///
/// # Errors
/// Those of the deserializer.
pub fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    from.deserialize_any(List { what: "text", of: PhantomData })
}

struct List<T> {
    what: &'static str,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de> + FromStr> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}s", self.what)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = seq.next_element()? {
            list.push(one);
        }
        Ok(list)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let read = |part: &str| {
            let part = part.trim();
            part.parse().map_err(|_| E::custom(format!("{part:?} is no {}", self.what)))
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(read).collect()
    }
}
