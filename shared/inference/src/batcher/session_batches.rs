//! Batches on a session of this process.

use std::sync::Arc;

use super::{
    batch_rows::{BatchRows, GraphEntry},
    layout::{Layout, Variable},
    model::RunError,
    shape::{Dims, Shape},
};
use crate::{
    InferenceError, Prepared, PreparedOutputs, Provider, Session, Slot, SpareInputs, Tensor,
    TensorData,
};

/// Memory that the shapes of one session may take together. Those that ran longest ago make room.
const MOST_BYTES: usize = 32 << 20;

/// A session, with memory for the shapes that it runs.
pub(super) struct SessionBatches {
    session: Session,
    inputs: Arc<[Layout]>,
    outputs: Arc<[Layout]>,
    /// The size that ran last is the last.
    sizes: Vec<PreparedSize>,
    /// Entries of the present batch that could not be written.
    failed: Vec<(usize, String)>,
}

/// Memory for so many users and candidates. Candidates, which are nearly all of what is written for a run, have the
/// same memory however long the histories are, so that it is in the processor's cache.
struct PreparedSize {
    shape: Shape,
    rows: BatchRows,
    memory: Prepared,
    /// Memory of histories of other lengths.
    histories: Vec<(usize, SpareInputs)>,
}

impl SessionBatches {
    pub(super) fn new(session: Session, inputs: Arc<[Layout]>, outputs: Arc<[Layout]>) -> Self {
        Self { session, inputs, outputs, sizes: Vec::new(), failed: Vec::new() }
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
        self.sizes.push(memory);
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
        self.sizes.push(prepared);
        answered
    }

    /// Memory of a shape, taken out of `sizes`, where it is the last afterwards.
    fn prepared(&mut self, shape: Shape) -> Result<PreparedSize, InferenceError> {
        // Outputs of other lengths need memory of their own.
        let varies = self.outputs.iter().any(|output| output.variable == Some(Variable::History));
        let fits = |known: &PreparedSize| {
            let Shape { users, candidates, history } = known.shape;
            (users, candidates) == (shape.users, shape.candidates)
                && (!varies || history == shape.history)
        };
        if let Some(at) = self.sizes.iter().rposition(fits) {
            let mut known = self.sizes.remove(at);
            if known.shape.history != shape.history {
                self.set_history(&mut known, shape)?;
            }
            return Ok(known);
        }
        let (input_dims, output_dims) = (dims(&self.inputs, shape), dims(&self.outputs, shape));
        let inputs = slots(&self.inputs, &input_dims);
        let memory = self.session.prepare(&inputs, &slots(&self.outputs, &output_dims))?;
        let bytes =
            |sizes: &[PreparedSize]| -> usize { sizes.iter().map(PreparedSize::bytes).sum() };
        while !self.sizes.is_empty() && bytes(&self.sizes) + memory.bytes() > MOST_BYTES {
            self.sizes.remove(0);
        }
        Ok(PreparedSize { shape, rows: BatchRows::new(shape), memory, histories: Vec::new() })
    }

    /// Has a size take histories of the length of `shape`.
    fn set_history(&self, size: &mut PreparedSize, shape: Shape) -> Result<(), InferenceError> {
        let PreparedSize { shape: before, rows, memory, histories } = size;
        let known = histories.iter().position(|(history, _)| *history == shape.history);
        let at = match known {
            Some(at) => at,
            None => {
                let dims = dims(&self.inputs, shape);
                let varies = |layout: &Layout| layout.variable == Some(Variable::History);
                let inputs = slots(&self.inputs, &dims).into_iter().enumerate();
                let inputs = inputs.filter(|(place, _)| varies(&self.inputs[*place]));
                histories.push((shape.history, memory.spare(inputs)?));
                histories.len() - 1
            }
        };
        let (history, spare) = &mut histories[at];
        memory.exchange(spare);
        *history = before.history;
        before.history = shape.history;
        rows.set_history(shape.history);
        Ok(())
    }
}

impl PreparedSize {
    fn bytes(&self) -> usize {
        let spare = self.histories.iter().map(|(_, spare)| spare.bytes());
        self.memory.bytes() + spare.sum::<usize>()
    }
}

fn dims(layouts: &[Layout], shape: Shape) -> Vec<Vec<usize>> {
    layouts.iter().map(|layout| layout.dims(shape)).collect()
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
