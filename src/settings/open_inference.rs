//! Whether graphs are served: section `[open_inference]` of the settings.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Open Inference Protocol, served by the process that scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct OpenInferenceOptions {
    /// Whether the process that scores serves its graphs under /v2 by the Open Inference Protocol.
    #[garde(skip)]
    pub serve: bool,
    /// Largest body of a request to it, in bytes. Larger ones are answered 413.
    #[garde(range(min = 1024, max = 1 << 30))]
    pub max_body_bytes: usize,
}

impl Default for OpenInferenceOptions {
    fn default() -> Self {
        Self { serve: true, max_body_bytes: 64 << 20 }
    }
}
