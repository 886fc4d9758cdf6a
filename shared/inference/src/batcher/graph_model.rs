//! A graph of a bundle as the batcher runs it.

use std::sync::Arc;

use plugrank_bundle::{Bundle, GraphName};
use plugrank_contract::Deadline;

use super::{
    graph_input::GraphInput,
    layout::{Layout, LayoutError, Variable},
    model::{BatchModel, Entry, RunError},
    remote_batches::RemoteBatches,
    session_batches::SessionBatches,
    shape::Shape,
};
use crate::{
    InferenceError, InputRanges, Library, LookupError, Provider, RemoteGraph, Session,
    SessionOptions, TensorData,
};

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
    /// It cannot look up what it is given.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It could not be loaded.
    #[error(transparent)]
    Load(#[from] InferenceError),
}

/// A graph whose inputs and outputs all begin with `users`.
pub struct GraphModel {
    runs: Runs,
    inputs: Arc<[Layout]>,
    outputs: Arc<[Layout]>,
}

type Layouts = (Arc<[Layout]>, Arc<[Layout]>);

enum Runs {
    Session(SessionBatches),
    Remote(RemoteBatches),
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
        for output in outputs.iter() {
            if !session.outputs().iter().any(|port| port.name == output.name) {
                return Err(GraphModelError::Output { graph, output: output.name.clone() });
            }
        }
        let runs = SessionBatches::new(session, Arc::clone(&inputs), Arc::clone(&outputs));
        Ok(Self { runs: Runs::Session(runs), inputs, outputs })
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
        let runs = RemoteBatches::new(server, Arc::clone(&inputs), Arc::clone(&outputs));
        Ok(Self { runs: Runs::Remote(runs), inputs, outputs })
    }

    /// Layouts of a graph's inputs and outputs, in the manifest's order.
    fn layouts(bundle: &Bundle, graph: GraphName) -> Result<Layouts, GraphModelError> {
        let spec = bundle.graph(graph).ok_or(GraphModelError::None(graph))?;
        let wrong = |source| GraphModelError::Layout { graph, source };
        let inputs = spec
            .inputs
            .iter()
            .map(|input| Layout::from_spec(&input.name, input.dtype, &input.shape).map_err(wrong))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = spec
            .outputs
            .iter()
            .map(|output| {
                Layout::from_spec(&output.name, output.dtype, &output.shape).map_err(wrong)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok((inputs.into(), outputs.into()))
    }

    /// Has the graph look up the largest ids that it will be given: one row that it cannot look up would
    /// fail the batch that it is in.
    ///
    /// # Errors
    /// When it has no row for one.
    pub fn check_lookups(
        &mut self,
        graph: GraphName,
        ranges: &InputRanges<'_>,
    ) -> Result<(), LookupError> {
        ranges.check(graph, |inputs| match &mut self.runs {
            Runs::Session(runs) => runs.probe(inputs),
            Runs::Remote(runs) => runs.probe(inputs),
        })
    }

    /// What the graph runs on; `None` when another server runs it.
    #[must_use]
    pub fn provider(&self) -> Option<Provider> {
        match &self.runs {
            Runs::Session(runs) => Some(runs.provider()),
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
}

impl BatchModel for GraphModel {
    type Input = Box<dyn GraphInput>;
    type Output = Vec<TensorData>;

    fn run(
        &mut self,
        shape: Shape,
        entries: &[Entry<Self::Input>],
        deadline: Deadline,
        answers: &mut Vec<Result<Self::Output, String>>,
    ) -> Result<(), RunError> {
        match &mut self.runs {
            Runs::Session(runs) => runs.run(shape, entries, answers),
            Runs::Remote(runs) => runs.run(shape, entries, deadline, answers),
        }
    }

    fn warm(&mut self, shape: Shape) -> Result<(), String> {
        let ran = match &mut self.runs {
            Runs::Session(runs) => runs.run_padding(shape),
            Runs::Remote(runs) => runs.run_padding(shape),
        };
        ran.map_err(|error| error.to_string())
    }

    fn only_computes(&self) -> bool {
        matches!(self.runs, Runs::Session(_))
    }

    fn computes_here(&self) -> bool {
        matches!(&self.runs, Runs::Session(runs) if runs.computes_here())
    }
}
