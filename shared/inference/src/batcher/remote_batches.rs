//! Batches on a graph that another server runs.

use std::sync::Arc;

use super::{
    batch_rows::{BatchRows, GraphEntry},
    layout::Layout,
    model::RunError,
    shape::Shape,
};
use crate::{BlockMut, InferenceError, RemoteGraph, Tensor, TensorData};
use plugrank_contract::Deadline;

/// A remote graph. Its tensors are made anew for each batch: the network costs more.
pub(super) struct RemoteBatches {
    server: Arc<dyn RemoteGraph>,
    inputs: Arc<[Layout]>,
    outputs: Arc<[Layout]>,
}

impl RemoteBatches {
    pub(super) fn new(
        server: Arc<dyn RemoteGraph>,
        inputs: Arc<[Layout]>,
        outputs: Arc<[Layout]>,
    ) -> Self {
        Self { server, inputs, outputs }
    }

    pub(super) fn probe(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), String> {
        let ran = self.server.run(inputs, Deadline::NONE);
        ran.map(|_| ()).map_err(|error| error.to_string())
    }

    pub(super) fn run_padding(&mut self, shape: Shape) -> Result<(), InferenceError> {
        self.forward(shape, &[], Deadline::NONE, &mut Vec::new()).map(|_| ())
    }

    pub(super) fn run(
        &mut self,
        shape: Shape,
        entries: &[GraphEntry],
        deadline: Deadline,
        answers: &mut Vec<Result<Vec<TensorData>, String>>,
    ) -> Result<(), RunError> {
        let mut failed = Vec::new();
        let outputs = self.forward(shape, entries, deadline, &mut failed).map_err(|error| {
            // Trying again one by one makes sense only where the server answers at all.
            let late = deadline.has_passed();
            let separable = !late && self.server.available().is_ok();
            RunError { message: error.to_string(), separable }
        })?;
        let mut failed = failed.into_iter().peekable();
        for (user, entry) in entries.iter().enumerate() {
            let read = |(place, layout): (usize, &Layout)| {
                let tensor = outputs.get(place).ok_or("the graph answered too few outputs")?;
                layout.copy(shape, tensor.data.block(), user, entry.dims)
            };
            answers.push(match failed.next_if(|(at, _)| *at == user) {
                Some((_, reason)) => Err(reason),
                None => self.outputs.iter().enumerate().map(read).collect(),
            });
        }
        Ok(())
    }

    fn forward(
        &self,
        shape: Shape,
        entries: &[GraphEntry],
        deadline: Deadline,
        failed: &mut Vec<(usize, String)>,
    ) -> Result<Vec<Tensor>, InferenceError> {
        let zeros = |layout: &Layout| {
            let shape = layout.dims(shape);
            let data = TensorData::zeros(layout.dtype, shape.iter().product());
            Tensor { shape, data }
        };
        let mut tensors: Vec<Tensor> = self.inputs.iter().map(zeros).collect();
        let blocks: Vec<BlockMut<'_>> =
            tensors.iter_mut().map(|tensor| tensor.data.block_mut()).collect();
        BatchRows::new(shape).write(&self.inputs, entries, blocks, failed);
        let names = self.inputs.iter().map(|layout| layout.name.as_str());
        let named: Vec<(&str, &Tensor)> = names.zip(&tensors).collect();
        self.server.run(&named, deadline)
    }
}
