//! Scores candidates by row: what a plain server does between parsing and sorting.

use anyhow::Result;
use plugrank_inference::{Library, Session, SessionOptions, Tensor, TensorData};

use crate::tables::{Reads, Tables};

/// One session and the blocks it reads, used again for each request.
pub(crate) struct Scorer {
    session: Session,
    /// Inputs that are gathered: their place in the graph's inputs, and first element and elements
    /// within a record.
    parts: Vec<(usize, usize, usize)>,
    blocks: Vec<Tensor>,
}

impl Scorer {
    pub(crate) fn load(library: &Library, tables: &Tables) -> Result<Self> {
        let path = std::path::Path::new(&tables.about.graph);
        let session = Session::load(library, path, SessionOptions::default())?;
        let mut parts = Vec::new();
        for (place, input) in tables.about.inputs.iter().enumerate() {
            if let Reads::Record { offset, dim } = input.reads {
                parts.push((place, offset, dim));
            }
        }
        let blocks =
            vec![Tensor { shape: Vec::new(), data: TensorData::F32(Vec::new()) }; parts.len()];
        Ok(Self { session, parts, blocks })
    }

    /// Copies the candidates' records into the blocks.
    pub(crate) fn gather(&mut self, tables: &Tables, items: &[u32]) {
        for ((_, offset, dim), block) in self.parts.iter().zip(&mut self.blocks) {
            block.shape = vec![1, items.len(), *dim];
            if let TensorData::F32(values) = &mut block.data {
                values.clear();
                for item in items {
                    values.extend_from_slice(&tables.record(*item)[*offset..offset + dim]);
                }
            }
        }
    }

    /// Runs the graph on what was gathered. Logits, one a candidate.
    pub(crate) fn run(&mut self, tables: &Tables, user: u32) -> Result<Vec<f32>> {
        let state = &tables.states[user as usize];
        let mut inputs: Vec<(&str, &Tensor)> = Vec::with_capacity(tables.about.inputs.len());
        for (input, tensor) in tables.about.inputs.iter().zip(state) {
            if let Some(tensor) = tensor {
                inputs.push((input.name.as_str(), tensor));
            }
        }
        for ((place, ..), block) in self.parts.iter().zip(&self.blocks) {
            inputs.push((tables.about.inputs[*place].name.as_str(), block));
        }
        crate::encode::floats(self.session.run(&inputs)?.into_iter().next())
    }

    /// What was gathered, to be put back by [`Self::swap`].
    pub(crate) fn swap(&mut self, blocks: &mut Vec<Tensor>) {
        std::mem::swap(&mut self.blocks, blocks);
    }

    /// A copy of what was gathered.
    pub(crate) fn blocks(&self) -> Vec<Tensor> {
        self.blocks.clone()
    }
}

/// Calibrated click probabilities of logits.
pub(crate) fn probabilities(tables: &Tables, logits: &mut [f32]) {
    let [a, b] = tables.about.platt.map(|value| value as f32);
    logits.iter_mut().for_each(|logit| *logit = 1.0 / (1.0 + (-(a * *logit + b)).exp()));
}
