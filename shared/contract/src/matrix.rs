//! Rows of numbers as one little-endian block.

use half::f16;
use serde::{Deserialize, Serialize};

/// Element type of a [`Matrix`].
///
/// ```
/// use plugrank_contract::Dtype;
///
/// assert_eq!((Dtype::F16.size(), Dtype::F32.size()), (2, 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 single precision.
    F32,
}

impl Dtype {
    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// A block of `rows` x `dim` elements, row by row, little-endian.
///
/// ```
/// use plugrank_contract::{Dtype, Matrix, matrix::decode_f32};
///
/// let data = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
/// let matrix = Matrix::new(2, 2, Dtype::F32, data).unwrap();
/// assert_eq!(decode_f32(matrix.dtype(), matrix.row(1)), [3.0, 4.0]);
/// // What does not fit its shape is refused.
/// assert!(Matrix::new(2, 2, Dtype::F16, vec![0; 7]).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    rows: u32,
    dim: u32,
    dtype: Dtype,
    #[serde(with = "bytes_block")]
    data: Vec<u8>,
}

/// The block does not hold what its shape says.
///
/// ```
/// use plugrank_contract::{Dtype, Matrix};
///
/// let error = Matrix::new(2, 3, Dtype::F16, vec![0; 5]).unwrap_err();
/// assert_eq!(error.to_string(), "a 2 x 3 F16 matrix takes 12 bytes, got 5");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {rows} x {dim} {dtype:?} matrix takes {expected} bytes, got {got}")]
pub struct MatrixError {
    /// Stated rows.
    pub rows: usize,
    /// Stated elements a row.
    pub dim: usize,
    /// Stated element type.
    pub dtype: Dtype,
    /// Bytes the shape takes.
    pub expected: usize,
    /// Bytes there were.
    pub got: usize,
}

impl Matrix {
    /// A matrix over `data`.
    ///
    /// # Errors
    /// When `data` is not exactly `rows * dim` elements long.
    pub fn new(rows: usize, dim: usize, dtype: Dtype, data: Vec<u8>) -> Result<Self, MatrixError> {
        let expected = rows * dim * dtype.size();
        let (Ok(rows32), Ok(dim32), true) =
            (u32::try_from(rows), u32::try_from(dim), data.len() == expected)
        else {
            return Err(MatrixError { rows, dim, dtype, expected, got: data.len() });
        };
        Ok(Self { rows: rows32, dim: dim32, dtype, data })
    }

    /// A matrix without rows.
    #[must_use]
    pub fn empty(dim: usize, dtype: Dtype) -> Self {
        Self { rows: 0, dim: dim as u32, dtype, data: Vec::new() }
    }

    /// Checks a matrix that came over the wire.
    ///
    /// # Errors
    /// When the block's length does not fit its shape.
    pub fn validate(&self) -> Result<(), MatrixError> {
        let expected = self.rows() * self.dim() * self.dtype.size();
        if self.data.len() == expected {
            return Ok(());
        }
        Err(MatrixError {
            rows: self.rows(),
            dim: self.dim(),
            dtype: self.dtype,
            expected,
            got: self.data.len(),
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows as usize
    }
    /// Elements a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim as usize
    }
    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }
    /// The whole block.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
    /// Bytes of one row.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.dim() * self.dtype.size()
    }
    /// One row's bytes.
    ///
    /// # Panics
    /// When `row` is out of range.
    #[must_use]
    pub fn row(&self, row: usize) -> &[u8] {
        let width = self.row_bytes();
        &self.data[row * width..(row + 1) * width]
    }
    /// One row as f32.
    #[must_use]
    pub fn row_f32(&self, row: usize) -> Vec<f32> {
        decode_f32(self.dtype, self.row(row))
    }
}

/// Decodes little-endian elements to f32.
///
/// [`Matrix`] has an example.
#[must_use]
pub fn decode_f32(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F16 => {
            bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        Dtype::F32 => {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
    }
}

/// Writes the block as one byte string instead of a sequence of numbers.
pub(crate) mod bytes_block {
    use serde::{Deserializer, Serializer, de::Visitor};

    pub(crate) fn serialize<S: Serializer>(data: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(data)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Block;
        impl Visitor<'_> for Block {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a block of bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
                Ok(bytes)
            }
        }
        from.deserialize_byte_buf(Block)
    }
}

#[cfg(test)]
mod tests {
    use super::{Dtype, Matrix};

    #[test]
    fn golden_bytes() {
        let data = [1.0f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let matrix = Matrix::new(1, 2, Dtype::F32, data).unwrap();
        let wire = postcard::to_stdvec(&matrix).unwrap();
        assert_eq!(wire, [1, 2, 1, 8, 0, 0, 128, 63, 0, 0, 0, 192]);
        assert_eq!(postcard::from_bytes::<Matrix>(&wire).unwrap(), matrix);
    }

    #[test]
    fn a_block_of_the_wrong_length_is_refused() {
        let error = Matrix::new(2, 2, Dtype::F16, vec![0; 7]).unwrap_err();
        assert_eq!((error.expected, error.got), (8, 7));
    }
}
