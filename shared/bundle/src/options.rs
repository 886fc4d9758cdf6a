//! Where the bundle is: section `[bundle]` of the settings.

use std::path::PathBuf;

use garde::Validate;
use plugrank_settings::rules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model bundle.
///
/// ```
/// use garde::Validate;
/// use plugrank_bundle::BundleOptions;
///
/// assert_eq!(BundleOptions::default().path.to_str(), Some("models/simshop/bundle"));
/// assert!(BundleOptions { path: "".into() }.validate().is_err());
/// ```
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
