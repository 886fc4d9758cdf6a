//! Section `[onnxruntime]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxRuntimeSettings {
    /// Path of its shared library; found by the system's loader when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
}

impl OnnxRuntimeSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        if let Some(library) = &self.library {
            checks.path("onnxruntime.library", library);
        }
    }
}
