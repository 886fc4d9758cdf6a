//! ONNX Runtime sessions, verification of bundles, and batches of rows across requests.
//!
//! The only crate that knows `ort`. What another server runs in place of a session comes in as a
//! [`RemoteGraph`].

pub mod batcher;
pub mod block;
pub mod elements;
pub mod error;
pub mod library;
pub mod lookups;
pub mod options;
pub mod remote_graph;
pub mod session;
pub mod tensor;
pub mod verify;
pub mod worker_pool;

pub use block::{Block, BlockMut};
pub use elements::Elements;
pub use error::InferenceError;
pub use library::{Library, find_library};
pub use lookups::{InputRanges, LookupError, LookupsError, check_lookups};
pub use options::{ModelServerOptions, OnnxRuntimeOptions, Provider};
pub use remote_graph::RemoteGraph;
pub use session::{Port, Prepared, PreparedOutputs, Session, SessionOptions, Slot, SpareInputs};
pub use tensor::{Tensor, TensorData};
pub use verify::{GraphReport, VerifyError, VerifyReport, verify, verify_folder, verify_remote};
pub use worker_pool::{PoolCounts, WorkerPool};
