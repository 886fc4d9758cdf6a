//! Elements of a tensor as JSON numbers, flat or nested.

use std::fmt;

use half::f16;
use plugrank_contract::{NamedTensor, TensorDtype};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, SeqAccess, Visitor},
    ser::{self, SerializeSeq},
};

/// Numbers read from JSON, nested lists laid flat. Whole ones are kept whole: f64 has no room for
/// large ids.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JsonNumbers {
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

impl JsonNumbers {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(all) => all.len(),
            Self::Real(all) => all.len(),
        }
    }

    /// Little-endian bytes in a graph's type; `None` when that would cut numbers.
    pub(crate) fn into_bytes(self, dtype: TensorDtype) -> Option<Vec<u8>> {
        Some(match (dtype, self) {
            (TensorDtype::I64, Self::Whole(all)) => {
                all.iter().flat_map(|x| x.to_le_bytes()).collect()
            }
            (TensorDtype::I64, Self::Real(_)) => return None,
            (TensorDtype::F32, all) => {
                all.into_reals().iter().flat_map(|x| (*x as f32).to_le_bytes()).collect()
            }
            (TensorDtype::F16, all) => {
                all.into_reals().iter().flat_map(|x| f16::from_f64(*x).to_le_bytes()).collect()
            }
        })
    }

    fn into_reals(self) -> Vec<f64> {
        match self {
            Self::Whole(all) => all.into_iter().map(|x| x as f64).collect(),
            Self::Real(all) => all,
        }
    }

    fn push_whole(&mut self, x: i64) {
        match self {
            Self::Whole(all) => all.push(x),
            Self::Real(all) => all.push(x as f64),
        }
    }

    fn push_real(&mut self, x: f64) {
        if let Self::Whole(all) = self {
            *self = Self::Real(std::mem::take(all).into_iter().map(|x| x as f64).collect());
        }
        if let Self::Real(all) = self {
            all.push(x);
        }
    }
}

impl<'de> Deserialize<'de> for JsonNumbers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut elements = Self::Whole(Vec::new());
        from.deserialize_seq(Flat(&mut elements))?;
        Ok(elements)
    }
}

/// Lays lists flat.
struct Flat<'a>(&'a mut JsonNumbers);

impl<'de> DeserializeSeed<'de> for Flat<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flat<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, or lists of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Flat(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_i64<E: Error>(self, x: i64) -> Result<(), E> {
        self.0.push_whole(x);
        Ok(())
    }

    fn visit_u64<E: Error>(self, x: u64) -> Result<(), E> {
        let x = i64::try_from(x).map_err(|_| E::custom(format!("{x} is beyond INT64")))?;
        self.visit_i64(x)
    }

    fn visit_f64<E: Error>(self, x: f64) -> Result<(), E> {
        self.0.push_real(x);
        Ok(())
    }
}

/// A tensor's elements, written as a flat list of numbers.
pub(crate) struct Flattened<'a>(pub(crate) &'a NamedTensor);

impl Serialize for Flattened<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let tensor = self.0;
        let mut list = to.serialize_seq(Some(tensor.data.len() / tensor.dtype.size()))?;
        let real = |x: f32| {
            let no = || ser::Error::custom(format!("`{}` holds {x}, no JSON number", tensor.name));
            if x.is_finite() { Ok(x) } else { Err(no()) }
        };
        match tensor.dtype {
            TensorDtype::I64 => {
                for bytes in tensor.data.as_chunks().0 {
                    list.serialize_element(&i64::from_le_bytes(*bytes))?;
                }
            }
            TensorDtype::F32 => {
                for bytes in tensor.data.as_chunks().0 {
                    list.serialize_element(&real(f32::from_le_bytes(*bytes))?)?;
                }
            }
            TensorDtype::F16 => {
                for bytes in tensor.data.as_chunks().0 {
                    list.serialize_element(&real(f16::from_le_bytes(*bytes).to_f32())?)?;
                }
            }
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<JsonNumbers, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn nested_lists_are_flattened() {
        assert_eq!(read("[[1, 2], [3, 4]]").unwrap(), JsonNumbers::Whole(vec![1, 2, 3, 4]));
        assert_eq!(read("[1, [2.5], -3]").unwrap(), JsonNumbers::Real(vec![1.0, 2.5, -3.0]));
        for bad in ["1", "[\"a\"]", "[null]", "[true]", "[9223372036854775808]", "[[1]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_round_trip_bitwise() {
        let reals = [0.1_f32, -1.0e-38, 3.4e38, 1.0, f32::MIN_POSITIVE, 16_777_217.0];
        let wholes = [i64::MAX, i64::MIN, 0];
        let bytes = |dtype, data: Vec<u8>| {
            let tensor = NamedTensor { name: "x".into(), dtype, shape: vec![], data };
            let json = serde_json::to_string(&Flattened(&tensor)).unwrap();
            assert_eq!(read(&json).unwrap().into_bytes(dtype), Some(tensor.data), "{json}");
        };
        bytes(TensorDtype::F32, reals.iter().flat_map(|x| x.to_le_bytes()).collect());
        bytes(TensorDtype::I64, wholes.iter().flat_map(|x| x.to_le_bytes()).collect());
        bytes(TensorDtype::F16, f16::from_f32(0.1).to_le_bytes().to_vec());
    }

    #[test]
    fn fractions_are_refused_as_ids_and_nan_as_json() {
        assert_eq!(read("[1.5]").unwrap().into_bytes(TensorDtype::I64), None);
        let data = f32::NAN.to_le_bytes().to_vec();
        let tensor = NamedTensor { name: "x".into(), dtype: TensorDtype::F32, shape: vec![], data };
        let error = serde_json::to_string(&Flattened(&tensor)).unwrap_err();
        assert!(error.to_string().contains("`x` holds NaN"), "{error}");
    }
}
