//! Writing: batches of rows to parquet files.
//!
//! A file grows under a name of its own (`.partial`) and gets its final one from `finish`, so a
//! run that stopped half-way leaves no file that looks whole. The bytes depend on the rows only,
//! not on how they were split into calls.

mod checks;
mod columns;
mod features;
mod interactions;
mod items;
mod parquet_file;
mod truth;
mod users;

pub use features::FeatureType;
pub use interactions::InteractionWriter;
pub use items::ItemWriter;
pub use truth::TruthWriter;
pub use users::UserWriter;
