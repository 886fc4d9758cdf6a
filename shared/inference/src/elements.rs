//! Elements of a tensor, of one of the types that graphs have.

use half::f16;
use plugrank_bundle::TensorDtype;

/// Elements of a tensor by their type, in any container of a slice:
/// [`TensorData`](crate::TensorData) owns them, [`Block`](crate::Block) and
/// [`BlockMut`](crate::BlockMut) borrow them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elements<H, S, I> {
    /// Half precision.
    F16(H),
    /// Single precision.
    F32(S),
    /// 64-bit integers.
    I64(I),
}

impl<H: AsRef<[f16]>, S: AsRef<[f32]>, I: AsRef<[i64]>> Elements<H, S, I> {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F16(data) => data.as_ref().len(),
            Self::F32(data) => data.as_ref().len(),
            Self::I64(data) => data.as_ref().len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> TensorDtype {
        match self {
            Self::F16(_) => TensorDtype::F16,
            Self::F32(_) => TensorDtype::F32,
            Self::I64(_) => TensorDtype::I64,
        }
    }
}
