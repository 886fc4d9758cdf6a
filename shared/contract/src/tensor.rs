//! Tensors that cross a service's border by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Element type of a tensor.
///
/// ```
/// use plugrank_contract::TensorDtype;
///
/// assert_eq!((TensorDtype::I64.size(), TensorDtype::I64.to_string()), (8, "i64".to_owned()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TensorDtype {
    /// Half precision.
    F16,
    /// Single precision.
    F32,
    /// 64-bit integers.
    I64,
}

impl TensorDtype {
    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

impl fmt::Display for TensorDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::I64 => "i64",
        })
    }
}

/// An input or output of a graph: its elements row by row, little-endian.
///
/// ```
/// use plugrank_contract::{NamedTensor, TensorDtype};
///
/// let ids = NamedTensor {
///     name: "ids".to_owned(),
///     dtype: TensorDtype::I64,
///     shape: vec![1, 2],
///     data: [7_i64, 9].iter().flat_map(|id| id.to_le_bytes()).collect(),
/// };
/// let elements: usize = ids.shape.iter().product();
/// assert_eq!(ids.data.len(), elements * ids.dtype.size());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedTensor {
    /// Name in the graph.
    pub name: String,
    /// Element type.
    pub dtype: TensorDtype,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Elements.
    #[serde(with = "crate::matrix::bytes_block")]
    pub data: Vec<u8>,
}
