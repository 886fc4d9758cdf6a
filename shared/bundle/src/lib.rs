//! Model bundle: manifest, feature schema, calibration, preprocessing.
//!
//! The format is described in `docs/bundle-format.md`.
//!
//! ```
//! use std::path::Path;
//!
//! use plugrank_bundle::{Bundle, GraphName};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/simshop/bundle");
//! // Nothing is used before every file has the checksum that the manifest states.
//! let bundle = Bundle::open(Path::new(folder)).unwrap();
//! assert!(bundle.graph(GraphName::Unified).is_some());
//! let features = bundle.feature_encoder().unwrap();
//! let row = features.missing_item(&"never seen".into());
//! assert_eq!(row.len(), features.item_slots().iter().map(|slot| slot.length).sum::<usize>());
//! ```

pub mod bundle;
pub mod calibration;
pub mod error;
mod external_data;
pub mod features;
pub mod manifest;
pub mod options;
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
pub use options::BundleOptions;
pub use preprocess::{ImagePreprocessor, TextPreprocessor};
pub use record::ItemRecordLayout;
pub use source::{GraphName, InputSource};
