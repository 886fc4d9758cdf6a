//! Models beside the one a process begins with: section `[models]` of the settings.

use std::{path::PathBuf, time::Duration};

use garde::Validate;
use plugrank_settings::rules::finite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Models that are loaded while the process serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsOptions {
    /// Folder with a folder a bundle, out of which POST /v1/models loads. Absent: none can be loaded.
    #[garde(skip)]
    #[schemars(example = &"models")]
    pub folder: Option<PathBuf>,
    /// How often that folder is scanned, in milliseconds: a new bundle is loaded at the second scan that
    /// finds it. 0: never.
    #[garde(range(max = 3_600_000))]
    pub watch_ms: u64,
    /// Most models loaded or loading at a time, the active one included.
    #[garde(range(min = 2, max = 16))]
    pub max_loaded: usize,
    /// Share of rank requests that a ready model ranks too, beside the one that answers: no request waits
    /// for it, and it uses idle capacity only. Their answers are compared in metrics.
    #[garde(range(min = 0.0, max = 1.0), custom(finite))]
    pub shadow_share: f64,
}

impl ModelsOptions {
    /// How often the folder is looked into; none for never.
    pub(crate) fn watch_every(&self) -> Option<Duration> {
        (self.watch_ms > 0).then(|| Duration::from_millis(self.watch_ms))
    }
}

impl Default for ModelsOptions {
    fn default() -> Self {
        Self { folder: None, watch_ms: 2000, max_loaded: 2, shadow_share: 0.0 }
    }
}
