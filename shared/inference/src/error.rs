//! Why a graph could not be loaded or run.

use std::path::PathBuf;

use plugrank_bundle::TensorDtype;

/// Why a graph could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// No library was named or found.
    #[error(
        "no ONNX Runtime library was found; set `onnxruntime.library` in the settings or \
         ORT_DYLIB_PATH to the path of libonnxruntime.so (it is in the `onnxruntime` Python wheel)"
    )]
    NoLibrary,
    /// The library cannot be used.
    #[error("the ONNX Runtime library {path} cannot be used: {message}", path = path.display())]
    Library {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A graph cannot be loaded.
    #[error("the graph {path} cannot be loaded: {message}", path = path.display())]
    Graph {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The execution provider asked for cannot be used.
    #[error(
        "the execution provider `{provider}` cannot be used ({message}); choose another in \
         `scoring.provider`, or install an ONNX Runtime library that has it"
    )]
    Provider {
        /// Which.
        provider: &'static str,
        /// Why.
        message: String,
    },
    /// A tensor's numbers do not fill its shape.
    #[error("input `{input}`: the shape {shape:?} does not hold {elements} elements")]
    Shape {
        /// Which input.
        input: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many elements there were.
        elements: usize,
    },
    /// A tensor's elements have another type than the graph reads.
    #[error("input `{input}` is {got}, but the graph reads {expected}")]
    Dtype {
        /// Which input.
        input: String,
        /// What was given.
        got: TensorDtype,
        /// What the graph reads.
        expected: TensorDtype,
    },
    /// The run failed.
    #[error("running the graph failed: {0}")]
    Run(String),
    /// Another server did not run the graph.
    #[error("{0}")]
    Remote(String),
    /// A worker pool could not start, or has stopped.
    #[error("worker pool: {0}")]
    Pool(String),
    /// As many jobs wait as may.
    #[error("{capacity} jobs wait for a worker already; try again later")]
    QueueFull {
        /// How many may wait.
        capacity: usize,
    },
    /// The deadline passed before the job began.
    #[error("the deadline passed before a worker was free")]
    Expired,
    /// The job panicked.
    #[error("the job panicked: {0}")]
    Panicked(String),
}
