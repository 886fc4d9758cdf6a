//! Model bundle: manifest, feature schema, calibration, preprocessing.
//!
//! The format is described in `docs/bundle-format.md`.

pub mod bundle;
pub mod calibration;
pub mod error;
mod external_data;
pub mod features;
pub mod manifest;
pub mod preprocess;
pub mod record;
mod rules;
pub mod source;
pub mod summary;
mod vocabulary;

pub use bundle::Bundle;
pub use calibration::Calibration;
pub use error::BundleError;
pub use features::{FeatureEncoder, ItemFeatures};
pub use manifest::{Dim, GraphSpec, Manifest, TensorDtype, TensorSpec};
pub use preprocess::{ImagePreprocessor, TextPreprocessor};
pub use record::ItemRecordLayout;
pub use source::{GraphName, Source};
