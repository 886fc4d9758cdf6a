//! Proves that a bundle computes what it computed when it was made.

mod border;
mod difference;
mod independence;
mod probes;
mod reference;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use plugrank_bundle::{Bundle, BundleError, GraphName, GraphSpec, TextPreprocessor};
use plugrank_contract::Deadline;

use self::{
    difference::{Difference, difference},
    reference::Reference,
};
use crate::{
    InferenceError, InputRanges, Library, LookupError, RemoteGraph, Session, SessionOptions, Tensor,
};

/// What was recomputed.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyReport {
    /// Per graph, in the order of their names.
    pub graphs: Vec<GraphReport>,
}

/// One graph's reference rows.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphReport {
    /// Which graph.
    pub graph: GraphName,
    /// Elements compared.
    pub elements: usize,
    /// Largest absolute difference.
    pub max_difference: f64,
    /// Time of the run.
    pub run_time: Duration,
}

/// Why a bundle fails.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The files or the manifest are not right.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The library or a graph cannot be used.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// A graph's border is not the manifest's.
    #[error("{graph}: {message}; the manifest and the graph's file do not belong together")]
    Border {
        /// Which graph.
        graph: GraphName,
        /// What differs.
        message: String,
    },
    /// The reference file cannot be used.
    #[error("{file}: {message}; export the bundle again")]
    Reference {
        /// Which file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A reference row came out differently.
    #[error(
        "{graph}: output `{output}`, row {row}, element {element} of the row, is {got} and not \
         {expected} (largest difference {max_difference:.3e}, allowed {tolerance:.1e}): the weights \
         are not those the reference rows were made with; export the bundle again"
    )]
    Difference {
        /// Which graph.
        graph: GraphName,
        /// Which output.
        output: String,
        /// Which row: index of the first dimension.
        row: usize,
        /// Which element, counted through the row.
        element: usize,
        /// What was computed.
        got: f64,
        /// What the file says.
        expected: f64,
        /// Largest difference of this output.
        max_difference: f64,
        /// Largest difference allowed.
        tolerance: f32,
    },
    /// A graph is given ids that its table has no row for.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// An output is no finite number.
    #[error(
        "{graph}: output `{output}` is not finite where {input} is {value}; a model that \
         overflows there would rank by nothing"
    )]
    NotFinite {
        /// Which graph.
        graph: GraphName,
        /// Which output.
        output: String,
        /// Which feature or source was filled.
        input: String,
        /// With what.
        value: String,
    },
    /// A row depends on what it ran with.
    #[error(
        "{graph}: output `{output}`, row {row}, changes by {max_difference:.3e} (allowed \
         {tolerance:.1e}) when it runs {how}: a graph computes each row from that row alone and \
         ignores entries with mask 0; what batch a request falls into would change its scores"
    )]
    Dependent {
        /// Which graph.
        graph: GraphName,
        /// Which output.
        output: String,
        /// Which row.
        row: usize,
        /// How it ran.
        how: &'static str,
        /// Largest difference of this output.
        max_difference: f64,
        /// Largest difference allowed.
        tolerance: f32,
    },
}

/// Checks every graph's border against the manifest, recomputes the reference rows, runs them
/// again alone and padded, and with the ends of every feature's range.
///
/// # Errors
/// As [`VerifyError`] says.
pub fn verify(
    bundle: &Bundle,
    library: &Library,
    options: SessionOptions,
) -> Result<VerifyReport, VerifyError> {
    let features = bundle.feature_encoder()?;
    let text = TextPreprocessor::load(bundle)?;
    let ranges = InputRanges::new(bundle, &features, text.as_ref());
    let reference = Reference::load(bundle)?;
    let mut graphs = Vec::new();
    for (&graph, spec) in &bundle.manifest().graphs {
        let mut session = Session::load(library, &bundle.path(&spec.file), options)?;
        border::check(graph, spec, &session)?;
        graphs.push(recompute(graph, spec, &mut session, &reference)?);
        independence::check(graph, spec, &mut session, &reference, bundle.manifest())?;
        probes::check(graph, spec, &mut session, &reference, &ranges)?;
    }
    Ok(VerifyReport { graphs })
}

fn recompute(
    graph: GraphName,
    spec: &GraphSpec,
    session: &mut Session,
    reference: &Reference,
) -> Result<GraphReport, VerifyError> {
    let inputs = reference.inputs(graph, spec)?;
    let begun = Instant::now();
    let outputs = session.run(&inputs)?;
    let run_time = begun.elapsed();
    let got = spec
        .outputs
        .iter()
        .map(|output| border::output(graph, session, &outputs, &output.name))
        .collect::<Result<Vec<&Tensor>, _>>()?;
    compare(graph, spec, &got, reference, run_time)
}

/// Runs the reference rows of a graph on the server that runs it in place of a session.
///
/// # Errors
/// As [`VerifyError`] says: `Inference` when the server did not run them, `Border` or `Difference`
/// when it runs another graph.
pub fn verify_remote(
    bundle: &Bundle,
    graph: GraphName,
    server: &dyn RemoteGraph,
) -> Result<GraphReport, VerifyError> {
    let none = || VerifyError::Border { graph, message: "the bundle has no such graph".into() };
    let spec = bundle.graph(graph).ok_or_else(none)?;
    let reference = Reference::load(bundle)?;
    let inputs = reference.inputs(graph, spec)?;
    let begun = Instant::now();
    let outputs = server.run(&inputs, Deadline::NONE)?;
    let run_time = begun.elapsed();
    let got: Vec<&Tensor> = outputs.iter().collect();
    compare(graph, spec, &got, &reference, run_time)
}

/// Holds a graph's outputs, in the manifest's order, against the reference.
fn compare(
    graph: GraphName,
    spec: &GraphSpec,
    outputs: &[&Tensor],
    reference: &Reference,
    run_time: Duration,
) -> Result<GraphReport, VerifyError> {
    let mut report = GraphReport { graph, elements: 0, max_difference: 0.0, run_time };
    for (output, got) in spec.outputs.iter().zip(outputs) {
        let expected = reference.output(graph, &output.name)?;
        if got.shape != expected.shape || got.data.is_empty() {
            let message = format!(
                "output `{}` has the shape {:?}, and the reference rows {:?}",
                output.name, got.shape, expected.shape
            );
            return Err(VerifyError::Border { graph, message });
        }
        let Difference { at, largest } = difference(&got.data, &expected.data);
        if reference.is_too_much(largest) {
            let row_elements = got.data.len() / got.shape.first().copied().unwrap_or(1).max(1);
            return Err(VerifyError::Difference {
                graph,
                output: output.name.clone(),
                row: at / row_elements.max(1),
                element: at % row_elements.max(1),
                got: got.data.get_f64(at),
                expected: expected.data.get_f64(at),
                max_difference: largest,
                tolerance: reference.tolerance,
            });
        }
        report.elements += got.data.len();
        report.max_difference = report.max_difference.max(largest);
    }
    Ok(report)
}

/// Loads the library and verifies the bundle in a folder.
///
/// # Errors
/// As [`VerifyError`] says.
pub fn verify_folder(
    folder: &Path,
    library: Option<&Path>,
) -> Result<(Bundle, VerifyReport), VerifyError> {
    let bundle = Bundle::open(folder)?;
    let library = Library::load(library)?;
    let report = verify(&bundle, &library, SessionOptions::default())?;
    Ok((bundle, report))
}
