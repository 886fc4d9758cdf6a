//! The canonical dataset folder: reading and writing its parquet files.
//!
//! Everything that trains, loads or simulates shares one folder layout (`docs/dataset-format.md`).
//! Files are read and written in batches, so memory does not grow with the number of rows, apart
//! from 16 bytes for each item or user, by which repeated ids are noticed.

mod check;
mod error;
mod faults;
mod folder;
mod image_file;
mod meta;
mod names;
mod order;
mod problems;
mod read;
mod rows;
mod rule;
mod write;

pub use error::DatasetError;
pub use folder::DatasetFolder;
pub use image_file::{IMAGE_MAX_BYTES, ImageKind};
pub use meta::{DatasetMeta, Negatives, Time};
pub use names::{DATASET_JSON, EXPOSURES, INTERACTIONS, ITEMS, TRUTH, USERS};
pub use problems::FolderProblems;
pub use read::Batches;
pub use rows::{DatasetItem, InteractionRow, TruthRow};
pub use rule::DatasetRule;
pub use write::{
    ExposureWriter, FeatureType, InteractionColumns, InteractionDetails, InteractionWriter,
    ItemWriter, TableTarget, TruthWriter, UserWriter,
};
