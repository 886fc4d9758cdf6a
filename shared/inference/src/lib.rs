//! ONNX Runtime sessions, verification of bundles, and batches of rows across requests.
//!
//! The only crate that knows `ort`. What another server runs in place of a session comes in as a
//! [`GraphElsewhere`].

pub mod batcher;
pub mod elsewhere;
pub mod error;
pub mod library;
pub mod session;
pub mod tensor;
pub mod verify;
pub mod worker_pool;

pub use elsewhere::GraphElsewhere;
pub use error::InferenceError;
pub use library::{Library, find_library};
pub use session::{Port, Provider, Session, SessionOptions};
pub use tensor::{Tensor, TensorData};
pub use verify::{GraphReport, VerifyError, VerifyReport, verify, verify_elsewhere, verify_folder};
pub use worker_pool::{PoolCounts, WorkerPool};
