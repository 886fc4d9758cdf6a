//! Elements of tensors where they lie.

use std::ops::Range;

use half::f16;

use crate::{Elements, TensorData};

/// Elements of a tensor, to be read.
pub type Block<'a> = Elements<&'a [f16], &'a [f32], &'a [i64]>;

/// Elements of a tensor, to be written.
pub type BlockMut<'a> = Elements<&'a mut [f16], &'a mut [f32], &'a mut [i64]>;

impl TensorData {
    /// The elements, to be read.
    #[must_use]
    pub fn block(&self) -> Block<'_> {
        match self {
            Self::F16(data) => Block::F16(data),
            Self::F32(data) => Block::F32(data),
            Self::I64(data) => Block::I64(data),
        }
    }

    /// The elements, to be written.
    #[must_use]
    pub fn block_mut(&mut self) -> BlockMut<'_> {
        match self {
            Self::F16(data) => BlockMut::F16(data),
            Self::F32(data) => BlockMut::F32(data),
            Self::I64(data) => BlockMut::I64(data),
        }
    }
}

impl Block<'_> {
    /// A copy of the elements in `range`; `None` where it leaves the block.
    #[must_use]
    pub fn copy(&self, range: Range<usize>) -> Option<TensorData> {
        Some(match self {
            Self::F16(data) => TensorData::F16(data.get(range)?.to_vec()),
            Self::F32(data) => TensorData::F32(data.get(range)?.to_vec()),
            Self::I64(data) => TensorData::I64(data.get(range)?.to_vec()),
        })
    }
}

impl<'a> BlockMut<'a> {
    /// Splits the first `count` elements off, or all where there are fewer.
    #[must_use]
    pub fn split_front(&mut self, count: usize) -> BlockMut<'a> {
        match self {
            Self::F16(data) => BlockMut::F16(split_front(data, count)),
            Self::F32(data) => BlockMut::F32(split_front(data, count)),
            Self::I64(data) => BlockMut::I64(split_front(data, count)),
        }
    }

    /// Sets every element to 0.
    pub fn clear(&mut self) {
        match self {
            Self::F16(data) => data.fill(f16::ZERO),
            Self::F32(data) => data.fill(0.0),
            Self::I64(data) => data.fill(0),
        }
    }

    /// Sets the first `count` elements to 0, or all where there are fewer.
    pub(crate) fn clear_front(&mut self, count: usize) {
        let count = count.min(self.len());
        match self {
            Self::F16(data) => data[..count].fill(f16::ZERO),
            Self::F32(data) => data[..count].fill(0.0),
            Self::I64(data) => data[..count].fill(0),
        }
    }

    /// Sets every element to one that no result survives: NaN, or the smallest integer.
    pub(crate) fn spoil(&mut self) {
        match self {
            Self::F16(data) => data.fill(f16::NAN),
            Self::F32(data) => data.fill(f32::NAN),
            Self::I64(data) => data.fill(i64::MIN),
        }
    }

    /// Copies `data` over the whole block.
    ///
    /// # Errors
    /// When type or number of elements differ; the block is as it was then.
    pub fn set(&mut self, data: &TensorData) -> Result<(), String> {
        match (self, data) {
            (Self::F16(own), TensorData::F16(data)) if own.len() == data.len() => {
                own.copy_from_slice(data);
            }
            (Self::F32(own), TensorData::F32(data)) if own.len() == data.len() => {
                own.copy_from_slice(data);
            }
            (Self::I64(own), TensorData::I64(data)) if own.len() == data.len() => {
                own.copy_from_slice(data);
            }
            (own, data) => {
                return Err(format!(
                    "{} elements of {}, got {} of {}",
                    own.len(),
                    own.dtype(),
                    data.len(),
                    data.dtype()
                ));
            }
        }
        Ok(())
    }

    /// Copies elements from little-endian bytes over the whole block.
    ///
    /// # Errors
    /// When there are fewer or more of them; the block is as it was then.
    pub fn set_le_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        let size = self.dtype().size();
        if bytes.len() != self.len() * size {
            let (own, dtype) = (self.len(), self.dtype());
            return Err(format!("{own} elements of {dtype}, got {} bytes", bytes.len()));
        }
        match self {
            Self::F16(own) => {
                let elements = own.iter_mut().zip(bytes.as_chunks().0);
                elements.for_each(|(own, bytes)| *own = f16::from_le_bytes(*bytes));
            }
            Self::F32(own) => {
                let elements = own.iter_mut().zip(bytes.as_chunks().0);
                elements.for_each(|(own, bytes)| *own = f32::from_le_bytes(*bytes));
            }
            Self::I64(own) => {
                let elements = own.iter_mut().zip(bytes.as_chunks().0);
                elements.for_each(|(own, bytes)| *own = i64::from_le_bytes(*bytes));
            }
        }
        Ok(())
    }
}

fn split_front<'a, T>(data: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let whole = std::mem::take(data);
    let count = count.min(whole.len());
    let (front, rest) = whole.split_at_mut(count);
    *data = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_copied_only_if_type_and_size_match() {
        let mut numbers = [1.0, 2.0, 3.0];
        let mut block = BlockMut::F32(&mut numbers);
        assert_eq!(block.split_front(1), BlockMut::F32(&mut [1.0]));
        assert_eq!(
            block.set(&TensorData::F32(vec![0.0])).unwrap_err(),
            "2 elements of f32, got 1 of f32"
        );
        assert!(block.set(&TensorData::I64(vec![1, 2])).is_err());
        block.set(&TensorData::F32(vec![5.0, 6.0])).unwrap();
        assert_eq!(block.split_front(9).len(), 2, "there are no more");
        assert!(block.is_empty());
        assert_eq!(numbers, [1.0, 5.0, 6.0]);
        let mut block = BlockMut::F32(&mut numbers);
        assert!(
            block.set_le_bytes(&[0; 8]).unwrap_err().contains("3 elements of f32, got 8 bytes")
        );
        let bytes = TensorData::F32(vec![1.0, 5.0, 6.5]).to_le_bytes();
        block.set_le_bytes(&bytes).unwrap();
        let block = Block::F32(&numbers);
        assert_eq!(block.copy(0..2), Some(TensorData::F32(vec![1.0, 5.0])));
        assert_eq!(block.copy(2..4), None);
    }
}
