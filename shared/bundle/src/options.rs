//! Where the bundle is: section `[bundle]` of the settings.

use std::path::PathBuf;

use garde::Validate;
use plugrank_settings::rules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct BundleOptions {
    /// Folder of the model bundle.
    #[garde(custom(rules::path))]
    pub path: PathBuf,
}

impl Default for BundleOptions {
    fn default() -> Self {
        Self { path: "models/simshop/bundle".into() }
    }
}
