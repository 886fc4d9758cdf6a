//! Bodies of the protocol, for its OpenAPI document alone: `message` reads and writes them.

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A request to run a graph. In the binary tensor extension this is followed by the data of the
/// tensors that say `binary_data_size`, and the header `Inference-Header-Content-Length` gives its
/// own length.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `message` reads")]
pub(super) struct InferRequest {
    /// Echoed.
    id: Option<String>,
    /// `timeout`: microseconds the caller waits. `binary_data_output`: whether outputs are binary.
    #[schema(value_type = Object)]
    parameters: Option<Map<String, Value>>,
    /// Every input of the model.
    inputs: Vec<InferTensor>,
    /// The outputs wanted; all when absent.
    outputs: Option<Vec<InferOutput>>,
}

/// A tensor.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `message` reads and writes")]
pub(super) struct InferTensor {
    name: String,
    shape: Vec<usize>,
    /// `FP32`, `FP16` or `INT64`.
    datatype: String,
    /// `binary_data_size`: bytes of its data behind the JSON.
    #[schema(value_type = Object)]
    parameters: Option<Map<String, Value>>,
    /// Its elements row by row, flat or nested, where they are not behind the JSON.
    data: Option<Vec<f64>>,
}

/// An output that is wanted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `message` reads")]
pub(super) struct InferOutput {
    name: String,
    /// `binary_data`: whether it is binary.
    #[schema(value_type = Object)]
    parameters: Option<Map<String, Value>>,
}

/// What a graph answered, in the same two forms.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `message` writes")]
pub(super) struct InferResponse {
    model_name: String,
    model_version: String,
    id: Option<String>,
    outputs: Vec<InferTensor>,
}

/// Why there is no answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `refusal` writes")]
pub(super) struct InferError {
    error: String,
}
