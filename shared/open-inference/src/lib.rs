//! The Open Inference Protocol, version 2 over REST, as KServe, Triton and MLServer speak it.
//!
//! [`server`] serves graphs of the bundle to anyone; [`client`] has a server of someone else's run
//! one in place of a session. Both take tensors as JSON and in the binary tensor extension, in
//! which they lie behind the JSON as they are: no text, no copies element by element.
//!
//! Source: the Open Inference Protocol's REST specification (KServe), and Triton's extensions
//! `binary_tensor_data` and `schedule_policy`.

mod check;
pub mod client;
mod datatype;
mod elements;
mod message;
mod metadata;
pub mod server;

pub use client::{ModelServerClient, ModelServerError};
pub use metadata::{ModelMetadata, ServerMetadata, TensorMetadata};
pub use server::{Served, ServedNow};

/// Length of the JSON in front of binary tensors, in bytes.
const HEADER_LENGTH: &str = "inference-header-content-length";
/// Extension: tensors may lie behind the JSON as bytes.
const BINARY: &str = "binary_tensor_data";
/// Extension: the request parameter `timeout`, in microseconds, is heeded.
const TIMEOUTS: &str = "schedule_policy";
