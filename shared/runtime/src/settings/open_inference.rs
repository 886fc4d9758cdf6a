//! Section `[open_inference]`.

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The Open Inference Protocol, served by the process that scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenInferenceSettings {
    /// Whether it is served.
    pub serve: bool,
    /// Largest request body.
    pub max_body_bytes: usize,
}

impl OpenInferenceSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.range("open_inference.max_body_bytes", self.max_body_bytes, 1024..=1 << 30);
    }
}
