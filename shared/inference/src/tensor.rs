//! Tensors that go into and come out of graphs.

use half::f16;
use plugrank_bundle::TensorDtype;

use crate::Elements;

/// A dense tensor, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Elements.
    pub data: TensorData,
}

/// A tensor's elements.
pub type TensorData = Elements<Vec<f16>, Vec<f32>, Vec<i64>>;

impl TensorData {
    /// So many zeros.
    #[must_use]
    pub fn zeros(dtype: TensorDtype, elements: usize) -> Self {
        match dtype {
            TensorDtype::F16 => Self::F16(vec![f16::ZERO; elements]),
            TensorDtype::F32 => Self::F32(vec![0.0; elements]),
            TensorDtype::I64 => Self::I64(vec![0; elements]),
        }
    }

    /// Little-endian bytes of the elements.
    #[must_use]
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::F16(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F32(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I64(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    /// Elements from little-endian bytes; `None` when they end within an element.
    #[must_use]
    pub fn from_le_bytes(dtype: TensorDtype, bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(dtype.size()) {
            return None;
        }
        Some(match dtype {
            TensorDtype::F16 => Self::F16(
                bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes)).collect(),
            ),
            TensorDtype::F32 => Self::F32(
                bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            ),
            TensorDtype::I64 => Self::I64(
                bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
            ),
        })
    }

    /// One element as f64, for messages; NaN beyond the end.
    #[must_use]
    pub fn get_f64(&self, at: usize) -> f64 {
        let value = match self {
            Self::F16(data) => data.get(at).map(|x| x.to_f64()),
            Self::F32(data) => data.get(at).map(|x| f64::from(*x)),
            Self::I64(data) => data.get(at).map(|x| *x as f64),
        };
        value.unwrap_or(f64::NAN)
    }

    /// Elements as f64, for comparing.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::F16(data) => data.iter().map(|x| x.to_f64()).collect(),
            Self::F32(data) => data.iter().map(|x| f64::from(*x)).collect(),
            Self::I64(data) => data.iter().map(|x| *x as f64).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensor_bytes_round_trip() {
        for data in [
            TensorData::F16(vec![f16::from_f32(1.5), f16::from_f32(-0.25)]),
            TensorData::F32(vec![1.5, -2.25]),
            TensorData::I64(vec![7, -9]),
        ] {
            let bytes = data.to_le_bytes();
            assert_eq!(TensorData::from_le_bytes(data.dtype(), &bytes), Some(data.clone()));
            assert_eq!(TensorData::from_le_bytes(data.dtype(), &bytes[1..]), None);
        }
    }
}
