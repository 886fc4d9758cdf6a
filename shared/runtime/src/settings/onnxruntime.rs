//! Section `[onnxruntime]`.

use std::path::PathBuf;

use garde::Validate;
use plugrank_settings::rules::optional_path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// ONNX Runtime.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct OnnxRuntimeSettings {
    /// Path of libonnxruntime.so. Absent: found by the system's loader.
    #[garde(custom(optional_path))]
    #[schemars(example = &"/usr/lib/libonnxruntime.so")]
    pub library: Option<PathBuf>,
}
