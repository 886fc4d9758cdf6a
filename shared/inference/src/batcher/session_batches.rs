//! Batches on a session of this process.

use std::sync::Arc;

use super::{
    batch_rows::{BatchRows, GraphEntry},
    layout::Layout,
    model::RunError,
    shape::{Dims, Shape},
};
use crate::{
    InferenceError, Prepared, PreparedOutputs, Provider, Session, Slot, Tensor, TensorData,
};

/// Memory that the shapes of one session may take together. Those that ran longest ago make room.
const MOST_BYTES: usize = 32 << 20;

/// A session, with memory for the shapes that it runs.
pub(super) struct SessionBatches {
    session: Session,
    inputs: Arc<[Layout]>,
    outputs: Arc<[Layout]>,
    /// The shape that ran last is the last.
    shapes: Vec<PreparedShape>,
    /// Entries of the present batch that could not be written.
    failed: Vec<(usize, String)>,
}

struct PreparedShape {
    shape: Shape,
    rows: BatchRows,
    memory: Prepared,
}

impl SessionBatches {
    pub(super) fn new(session: Session, inputs: Arc<[Layout]>, outputs: Arc<[Layout]>) -> Self {
        Self { session, inputs, outputs, shapes: Vec::new(), failed: Vec::new() }
    }

    pub(super) fn provider(&self) -> Provider {
        self.session.provider()
    }

    pub(super) fn computes_here(&self) -> bool {
        self.session.computes_here()
    }

    pub(super) fn probe(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), String> {
        self.session.probe(inputs)
    }

    pub(super) fn run_padding(&mut self, shape: Shape) -> Result<(), InferenceError> {
        let mut memory = self.prepared(shape)?;
        memory.rows.write(&self.inputs, &[], memory.memory.inputs()?, &mut self.failed);
        let ran = self.session.run_prepared(&memory.memory).map(|_| ());
        self.shapes.push(memory);
        ran
    }

    pub(super) fn run(
        &mut self,
        shape: Shape,
        entries: &[GraphEntry],
        answers: &mut Vec<Result<Vec<TensorData>, String>>,
    ) -> Result<(), RunError> {
        let model = |error: InferenceError| RunError::of_the_model(error.to_string());
        let mut prepared = self.prepared(shape).map_err(model)?;
        self.failed.clear();
        let written = prepared.memory.inputs().map(|inputs| {
            prepared.rows.write(&self.inputs, entries, inputs, &mut self.failed);
        });
        let ran = match written {
            Err(error) => Err(model(error)),
            Ok(()) if self.failed.len() == entries.len() => Ok(None),
            Ok(()) => match self.session.run_prepared(&prepared.memory) {
                Err(error) => Err(RunError::of_an_entry(error.to_string())),
                Ok(outputs) => Ok(Some(outputs)),
            },
        };
        let answered = ran.map(|outputs| {
            let mut failed = self.failed.drain(..).peekable();
            for (user, entry) in entries.iter().enumerate() {
                let reason = failed.next_if(|(at, _)| *at == user);
                answers.push(match (reason, &outputs) {
                    (Some((_, reason)), _) => Err(reason),
                    (None, Some(outputs)) => read(&self.outputs, outputs, shape, user, entry.dims),
                    (None, None) => Err("the graph did not run".to_owned()),
                });
            }
        });
        self.shapes.push(prepared);
        answered
    }

    /// Memory of a shape, taken out of `shapes`, where it is the last afterwards.
    fn prepared(&mut self, shape: Shape) -> Result<PreparedShape, InferenceError> {
        if let Some(at) = self.shapes.iter().rposition(|known| known.shape == shape) {
            return Ok(self.shapes.remove(at));
        }
        let dims = |layouts: &[Layout]| -> Vec<Vec<usize>> {
            layouts.iter().map(|layout| layout.dims(shape)).collect()
        };
        let (input_dims, output_dims) = (dims(&self.inputs), dims(&self.outputs));
        let inputs = slots(&self.inputs, &input_dims);
        let memory = self.session.prepare(&inputs, &slots(&self.outputs, &output_dims))?;
        let bytes = |shapes: &[PreparedShape]| -> usize {
            shapes.iter().map(|known| known.memory.bytes()).sum()
        };
        while !self.shapes.is_empty() && bytes(&self.shapes) + memory.bytes() > MOST_BYTES {
            self.shapes.remove(0);
        }
        Ok(PreparedShape { shape, rows: BatchRows::new(shape), memory })
    }
}

fn slots<'a>(layouts: &'a [Layout], dims: &'a [Vec<usize>]) -> Vec<Slot<'a>> {
    let slot = |(layout, shape): (&'a Layout, &'a Vec<usize>)| Slot {
        name: &layout.name,
        dtype: layout.dtype,
        shape,
    };
    layouts.iter().zip(dims).map(slot).collect()
}

/// The outputs of one entry, padding cut off.
fn read(
    layouts: &[Layout],
    outputs: &PreparedOutputs<'_>,
    shape: Shape,
    user: usize,
    dims: Dims,
) -> Result<Vec<TensorData>, String> {
    let output = |(place, layout): (usize, &Layout)| {
        let block = outputs.get(place).map_err(|error| error.to_string())?;
        layout.copy(shape, block, user, dims)
    };
    layouts.iter().enumerate().map(output).collect()
}
