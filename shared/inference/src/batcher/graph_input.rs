//! What an entry of a graph brings.

use std::sync::Arc;

use crate::{BlockMut, TensorData};

/// What one entry of a batch brings to a graph: it writes its rows where the graph reads them.
pub trait GraphInput: Send + 'static {
    /// Writes the entry's elements of every input. `blocks` are the inputs in the manifest's order,
    /// each the entry's own `layout.elements(dims)` elements, all zero (see
    /// [`GraphInput::writes_all`]). Called on the thread that runs the graph, and again when the
    /// entry has to be run again.
    ///
    /// # Errors
    /// What is wrong, with the name of the input; the entry gets it, and no other of the batch.
    fn write(&self, blocks: &mut [BlockMut<'_>]) -> Result<(), String>;

    /// Whether `write` sets every element, so that the blocks need not be zero before. Where this
    /// is true, elements that are not written are those of an earlier request.
    fn writes_all(&self) -> bool {
        false
    }
}

/// An input that was made before: one tensor for each of the graph's inputs, in the manifest's
/// order.
#[derive(Clone, Debug)]
pub struct TensorRows {
    /// Each holds the elements of one user, unpadded.
    pub inputs: Vec<Arc<TensorData>>,
}

impl TensorRows {
    /// The input as a batch takes it.
    #[must_use]
    pub fn boxed(inputs: Vec<Arc<TensorData>>) -> Box<dyn GraphInput> {
        Box::new(Self { inputs })
    }
}

impl GraphInput for TensorRows {
    fn write(&self, blocks: &mut [BlockMut<'_>]) -> Result<(), String> {
        for (place, block) in blocks.iter_mut().enumerate() {
            let data = self.inputs.get(place).ok_or_else(|| format!("input {place} is missing"))?;
            block.set(data).map_err(|wrong| format!("input {place} takes {wrong}"))?;
        }
        Ok(())
    }

    fn writes_all(&self) -> bool {
        true
    }
}
