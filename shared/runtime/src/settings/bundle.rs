//! Section `[bundle]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::Checks;

/// The model bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleSettings {
    /// Its folder.
    pub path: PathBuf,
}

impl BundleSettings {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.path("bundle.path", &self.path);
    }
}
