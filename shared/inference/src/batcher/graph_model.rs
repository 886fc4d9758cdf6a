//! A graph of a bundle as the batcher runs it.

use std::sync::Arc;

use plugrank_bundle::{Bundle, GraphName};
use tokio::time::Instant;

use super::{
    layout::{Layout, LayoutError, Variable},
    model::BatchModel,
    shape::{Dims, Shape},
};
use crate::{
    InferenceError, Library, Provider, RemoteGraph, Session, SessionOptions, Tensor, TensorData,
};

/// What one entry brings: an element block for each input, in the manifest's order.
#[derive(Clone, Debug)]
pub struct GraphRows {
    /// Its size.
    pub dims: Dims,
    /// Inputs; each holds the elements of one user, unpadded.
    pub inputs: Vec<Arc<TensorData>>,
}

/// The graph cannot be batched.
#[derive(Debug, thiserror::Error)]
pub enum GraphModelError {
    /// The bundle does not have it.
    #[error("the bundle has no graph `{0}`")]
    None(GraphName),
    /// A tensor cannot be batched.
    #[error("graph `{graph}`: {source}")]
    Layout {
        /// Which graph.
        graph: GraphName,
        /// Why.
        source: LayoutError,
    },
    /// The graph lacks an output of the manifest.
    #[error("graph `{graph}` has no output `{output}`, which the manifest names")]
    Output {
        /// Which graph.
        graph: GraphName,
        /// Which output.
        output: String,
    },
    /// It could not be loaded.
    #[error(transparent)]
    Load(#[from] InferenceError),
}

/// A graph whose inputs and outputs all begin with `users`.
pub struct GraphModel {
    runs: Runs,
    inputs: Arc<[Layout]>,
    outputs: Arc<[Layout]>,
    /// Place of each output among those a run answers.
    places: Vec<usize>,
}

type Layouts = (Arc<[Layout]>, Arc<[Layout]>);

enum Runs {
    Here(Session),
    Remote(Arc<dyn RemoteGraph>),
}

impl GraphModel {
    /// Loads a graph of a bundle.
    ///
    /// # Errors
    /// As [`GraphModelError`] says.
    pub fn load(
        library: &Library,
        bundle: &Bundle,
        graph: GraphName,
        options: SessionOptions,
    ) -> Result<Self, GraphModelError> {
        let path = bundle.graph_path(graph).ok_or(GraphModelError::None(graph))?;
        let (inputs, outputs) = Self::layouts(bundle, graph)?;
        let session = Session::load(library, &path, options)?;
        let places = outputs
            .iter()
            .map(|output| {
                let found = session.outputs().iter().position(|port| port.name == output.name);
                found.ok_or_else(|| GraphModelError::Output { graph, output: output.name.clone() })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { runs: Runs::Here(session), inputs, outputs, places })
    }

    /// A graph of a bundle that another server runs.
    ///
    /// # Errors
    /// When the bundle does not have it, or it cannot be batched.
    pub fn remote(
        bundle: &Bundle,
        graph: GraphName,
        server: Arc<dyn RemoteGraph>,
    ) -> Result<Self, GraphModelError> {
        let (inputs, outputs) = Self::layouts(bundle, graph)?;
        let places = (0..outputs.len()).collect();
        Ok(Self { runs: Runs::Remote(server), inputs, outputs, places })
    }

    /// Layouts of a graph's inputs and outputs, in the manifest's order.
    fn layouts(bundle: &Bundle, graph: GraphName) -> Result<Layouts, GraphModelError> {
        let spec = bundle.graph(graph).ok_or(GraphModelError::None(graph))?;
        let wrong = |source| GraphModelError::Layout { graph, source };
        let inputs = spec
            .inputs
            .iter()
            .map(|input| Layout::of(&input.name, input.dtype, &input.shape).map_err(wrong))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = spec
            .outputs
            .iter()
            .map(|output| Layout::of(&output.name, output.dtype, &output.shape).map_err(wrong))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((inputs.into(), outputs.into()))
    }

    /// What the graph runs on; `None` when another server runs it.
    #[must_use]
    pub fn provider(&self) -> Option<Provider> {
        match &self.runs {
            Runs::Here(session) => Some(session.provider()),
            Runs::Remote(_) => None,
        }
    }

    /// Layouts of the inputs, in the manifest's order.
    #[must_use]
    pub fn inputs(&self) -> Arc<[Layout]> {
        Arc::clone(&self.inputs)
    }

    /// Layouts of the outputs, in the manifest's order.
    #[must_use]
    pub fn outputs(&self) -> Arc<[Layout]> {
        Arc::clone(&self.outputs)
    }

    /// Whether any input or output varies with `variable`.
    #[must_use]
    pub fn varies_with(&self, variable: Variable) -> bool {
        self.inputs.iter().chain(self.outputs.iter()).any(|one| one.variable == Some(variable))
    }

    fn forward(
        &mut self,
        shape: Shape,
        entries: &[GraphRows],
        deadline: Option<Instant>,
    ) -> Result<Vec<Tensor>, String> {
        let mut tensors = Vec::with_capacity(self.inputs.len());
        for (place, layout) in self.inputs.iter().enumerate() {
            let mut blocks = Vec::with_capacity(entries.len());
            for entry in entries {
                let block = entry
                    .inputs
                    .get(place)
                    .ok_or_else(|| format!("input `{}` was not given for an entry", layout.name))?;
                blocks.push((entry.dims, block.as_ref()));
            }
            tensors.push(layout.stack(shape, blocks.into_iter())?);
        }
        let named: Vec<(&str, &Tensor)> = self
            .inputs
            .iter()
            .zip(&tensors)
            .map(|(layout, tensor)| (layout.name.as_str(), tensor))
            .collect();
        let ran = match &mut self.runs {
            Runs::Here(session) => session.run(&named),
            Runs::Remote(server) => server.run(&named, deadline),
        };
        ran.map_err(|error| error.to_string())
    }
}

impl BatchModel for GraphModel {
    type Input = GraphRows;
    type Output = Vec<TensorData>;

    fn run(
        &mut self,
        shape: Shape,
        entries: &[GraphRows],
        deadline: Option<Instant>,
    ) -> Result<Vec<Vec<TensorData>>, String> {
        let tensors = self.forward(shape, entries, deadline)?;
        let of_entry = |(user, entry): (usize, &GraphRows)| {
            let blocks = self.outputs.iter().zip(&self.places).map(|(layout, place)| {
                let tensor = tensors.get(*place).ok_or("the graph answered too few outputs")?;
                layout.unstack(shape, tensor, user, entry.dims)
            });
            blocks.collect::<Result<Vec<_>, String>>()
        };
        entries.iter().enumerate().map(of_entry).collect()
    }

    fn warm(&mut self, shape: Shape) -> Result<(), String> {
        self.forward(shape, &[], None).map(|_| ())
    }
}
