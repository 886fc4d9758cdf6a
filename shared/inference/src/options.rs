//! What graphs run on.

use std::{fmt, path::PathBuf};

use garde::Validate;
use plugrank_settings::{
    list,
    rules::{holds, http_urls, optional_path},
    without_passwords,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a graph runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl Provider {
    /// Name in settings, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// ONNX Runtime.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct OnnxRuntimeOptions {
    /// Path of libonnxruntime.so. Absent: found by the system's loader.
    #[garde(custom(optional_path))]
    #[schemars(example = &"/usr/lib/libonnxruntime.so")]
    pub library: Option<PathBuf>,
}

/// A server that runs the unified model in place of this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ModelServerOptions {
    /// One address or several, as under `[peers]`, which also says how it is called. Absent: this
    /// process runs the model.
    #[serde(deserialize_with = "list::texts", serialize_with = "without_passwords")]
    #[garde(custom(http_urls))]
    #[schemars(example = &"http://triton:8000")]
    pub url: Vec<String>,
    /// The model's name there.
    #[garde(custom(part_of_a_path))]
    pub model: String,
    /// The model's version there. Absent: the server's choice.
    #[garde(inner(custom(part_of_a_path)))]
    #[schemars(example = &"1")]
    pub version: Option<String>,
    /// Maximum wait for a run, in milliseconds; a request's own deadline ends it earlier.
    #[garde(range(min = 1, max = 600_000))]
    pub timeout_ms: u64,
}

impl Default for ModelServerOptions {
    fn default() -> Self {
        Self { url: Vec::new(), model: "unified".to_owned(), version: None, timeout_ms: 1000 }
    }
}

fn part_of_a_path(text: &str, _: &()) -> garde::Result {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-~".contains(c);
    let plain = !text.is_empty() && text.chars().all(known);
    holds(plain, || "letters, digits and . _ - ~".to_owned())
}
