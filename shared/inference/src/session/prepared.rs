//! Runs of one shape over memory that outlives them.
//!
//! A run of named tensors makes an ONNX Runtime value for each input and copies each output. Where
//! the same few shapes run over and over, values are made once a shape instead, inputs are written
//! where the graph reads them and outputs read where it wrote them.

use std::fmt;

use half::f16;
use ort::{
    memory::Allocator,
    session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue, SessionOutputs},
    value::{DynValue, Tensor as OrtTensor, TensorElementType, ValueType},
};
use plugrank_bundle::TensorDtype;

use super::Session;
use crate::{Block, BlockMut, InferenceError};

/// An input or output of a fixed shape.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// Name in the graph.
    pub name: &'a str,
    /// Element type.
    pub dtype: TensorDtype,
    /// Dimensions.
    pub shape: &'a [usize],
}

/// Inputs and outputs of one shape, for any number of runs of the session that prepared them.
pub struct Prepared {
    /// In the graph's order.
    inputs: Vec<SessionInputValue<'static>>,
    /// Of each of the caller's inputs, its place in the graph's order.
    places: Vec<usize>,
    /// Exchanges that bring the graph's order into the caller's.
    swaps: Vec<(usize, usize)>,
    options: RunOptions<HasSelectedOutputs>,
    bytes: usize,
}

/// Other memory for some of the inputs of a [`Prepared`], of other shapes; the others stay as they are.
pub struct SpareInputs {
    /// Each with its place in the graph's order.
    values: Vec<(usize, SessionInputValue<'static>)>,
    bytes: usize,
}

impl SpareInputs {
    /// Bytes of what is in it now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Session {
    /// Memory for runs on exactly these inputs and outputs, all zero. Inputs and outputs keep the
    /// order given here.
    ///
    /// # Errors
    /// When an input of the graph is missing or of another type, or there is no memory.
    pub fn prepare(
        &self,
        inputs: &[Slot<'_>],
        outputs: &[Slot<'_>],
    ) -> Result<Prepared, InferenceError> {
        if let Some(slot) = inputs.iter().find(|slot| self.input(slot.name).is_none()) {
            return Err(InferenceError::Run(format!("the graph has no input `{}`", slot.name)));
        }
        let mut order = Vec::with_capacity(inputs.len());
        let mut places = vec![0; inputs.len()];
        let mut values = Vec::with_capacity(inputs.len());
        for port in &self.inputs {
            let name = &port.name;
            let place = inputs.iter().position(|slot| slot.name == name);
            let place =
                place.ok_or_else(|| InferenceError::Run(format!("input `{name}` is missing")))?;
            let slot = inputs[place];
            if let Some(expected) = port.dtype.filter(|dtype| *dtype != slot.dtype) {
                let got = slot.dtype;
                return Err(InferenceError::Dtype { input: name.clone(), got, expected });
            }
            places[place] = values.len();
            values.push(SessionInputValue::Owned(zeros(slot)?));
            order.push(place);
        }
        let mut selector = OutputSelector::no_default();
        for slot in outputs {
            if !self.outputs.iter().any(|port| port.name == slot.name) {
                return Err(InferenceError::Run(format!("no output `{}`", slot.name)));
            }
            selector = selector.with(slot.name).preallocate(slot.name, zeros(*slot)?);
        }
        let options = RunOptions::new().map_err(|error| InferenceError::Run(error.to_string()))?;
        let bytes = inputs.iter().chain(outputs).map(Slot::bytes).sum();
        let options = options.with_outputs(selector);
        Ok(Prepared { inputs: values, places, swaps: swaps(order), options, bytes })
    }

    /// Runs the graph on what [`Prepared::inputs`] hold.
    ///
    /// # Errors
    /// When the run fails, or an output has another shape than was prepared.
    pub fn run_prepared<'r>(
        &'r mut self,
        prepared: &'r Prepared,
    ) -> Result<PreparedOutputs<'r>, InferenceError> {
        let ran = self.session.run_with_options(&prepared.inputs[..], &prepared.options);
        ran.map(PreparedOutputs).map_err(|error| InferenceError::Run(error.to_string()))
    }
}

impl Prepared {
    /// The inputs, whole, in the order they were prepared in. They hold what was last written.
    ///
    /// # Errors
    /// When ONNX Runtime does not give its memory.
    pub fn inputs(&mut self) -> Result<Vec<BlockMut<'_>>, InferenceError> {
        let mut blocks = Vec::with_capacity(self.inputs.len());
        for input in &mut self.inputs {
            // All of them are owned.
            if let SessionInputValue::Owned(value) = input {
                blocks.push(block_mut(value)?);
            }
        }
        for (a, b) in &self.swaps {
            blocks.swap(*a, *b);
        }
        Ok(blocks)
    }

    /// Memory, all zero, for some of the inputs, given with their places in the order they were prepared in.
    ///
    /// # Errors
    /// When there is no memory, or no such place.
    pub fn spare<'s>(
        &self,
        inputs: impl IntoIterator<Item = (usize, Slot<'s>)>,
    ) -> Result<SpareInputs, InferenceError> {
        let mut spare = SpareInputs { values: Vec::new(), bytes: 0 };
        for (place, slot) in inputs {
            let at = self.places.get(place).copied();
            let at = at.ok_or_else(|| InferenceError::Run(format!("no input `{}`", slot.name)))?;
            spare.bytes += slot.bytes();
            spare.values.push((at, SessionInputValue::Owned(zeros(slot)?)));
        }
        Ok(spare)
    }

    /// Takes spare memory into use; what was used so far is the spare one then.
    pub fn exchange(&mut self, spare: &mut SpareInputs) {
        for (at, value) in &mut spare.values {
            std::mem::swap(&mut self.inputs[*at], value);
        }
    }

    /// Bytes of the inputs and outputs.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Outputs of a run, until the next.
pub struct PreparedOutputs<'r>(SessionOutputs<'r>);

impl PreparedOutputs<'_> {
    /// An output, by its place among those prepared.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, place: usize) -> Result<Block<'_>, InferenceError> {
        if place >= self.0.len() {
            return Err(InferenceError::Run("the graph answered too few outputs".into()));
        }
        block(&self.0[place]).map_err(|error| InferenceError::Run(error.to_string()))
    }
}

impl Slot<'_> {
    fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}

/// Exchanges of neighbours that sort `order`.
fn swaps(mut order: Vec<usize>) -> Vec<(usize, usize)> {
    let mut swaps = Vec::new();
    for at in 0..order.len() {
        while order[at] != at {
            let to = order[at];
            swaps.push((at, to));
            order.swap(at, to);
        }
    }
    swaps
}

fn zeros(slot: Slot<'_>) -> Result<DynValue, InferenceError> {
    let failed = |error: &dyn fmt::Display| {
        InferenceError::Run(format!("no memory for `{}`: {error}", slot.name))
    };
    // ONNX Runtime's own memory is aligned for its vector instructions.
    let (memory, shape) = (Allocator::default(), slot.shape.to_vec());
    let mut value = match slot.dtype {
        TensorDtype::F16 => OrtTensor::<f16>::new(&memory, shape).map(OrtTensor::into_dyn),
        TensorDtype::F32 => OrtTensor::<f32>::new(&memory, shape).map(OrtTensor::into_dyn),
        TensorDtype::I64 => OrtTensor::<i64>::new(&memory, shape).map(OrtTensor::into_dyn),
    }
    .map_err(|error| failed(&error))?;
    block_mut(&mut value)?.clear();
    Ok(value)
}

fn element_type(value: &DynValue) -> Option<TensorElementType> {
    match value.dtype() {
        ValueType::Tensor { ty, .. } => Some(*ty),
        _ => None,
    }
}

fn block_mut(value: &mut DynValue) -> Result<BlockMut<'_>, InferenceError> {
    let block = match element_type(value) {
        Some(TensorElementType::Float16) => {
            value.try_extract_tensor_mut::<f16>().map(|(_, data)| BlockMut::F16(data))
        }
        Some(TensorElementType::Int64) => {
            value.try_extract_tensor_mut::<i64>().map(|(_, data)| BlockMut::I64(data))
        }
        _ => value.try_extract_tensor_mut::<f32>().map(|(_, data)| BlockMut::F32(data)),
    };
    block.map_err(|error| InferenceError::Run(error.to_string()))
}

fn block(value: &DynValue) -> Result<Block<'_>, ort::Error> {
    Ok(match element_type(value) {
        Some(TensorElementType::Float16) => Block::F16(value.try_extract_tensor::<f16>()?.1),
        Some(TensorElementType::Int64) => Block::I64(value.try_extract_tensor::<i64>()?.1),
        _ => Block::F32(value.try_extract_tensor::<f32>()?.1),
    })
}

#[cfg(test)]
mod tests {
    use super::swaps;

    #[test]
    fn swaps_sort_any_order() {
        for order in [vec![], vec![0, 1, 2], vec![2, 0, 1], vec![3, 2, 1, 0], vec![1, 2, 3, 0]] {
            let mut sorted = order.clone();
            for (a, b) in swaps(order) {
                sorted.swap(a, b);
            }
            assert!(sorted.iter().enumerate().all(|(at, place)| at == *place), "{sorted:?}");
        }
    }
}
