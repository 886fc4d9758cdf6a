//! Lists of numbers, which the environment writes with commas.

use std::fmt;

use serde::{
    Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// Reads a list, or one text with commas between the numbers.
pub(super) fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<usize>, D::Error> {
    struct Numbers;

    impl<'de> Visitor<'de> for Numbers {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of whole numbers")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut numbers = Vec::new();
            while let Some(number) = seq.next_element()? {
                numbers.push(number);
            }
            Ok(numbers)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            let number = |part: &str| {
                let part = part.trim();
                part.parse().map_err(|_| E::custom(format!("{part:?} is no whole number")))
            };
            text.split(',').map(number).collect()
        }
    }

    from.deserialize_any(Numbers)
}
