//! Writing rows to parquet files.
//!
//! Each table has a struct of its row whose fields are the columns; one writer (`parquet_file`) turns
//! such rows into columns.
//!
//! A file grows under a name of its own (`.partial`) and gets its final one from `finish`, so a run that
//! stopped half-way leaves no file that looks whole. A stream looks whole by its end alone. The bytes
//! depend on the rows only.

mod checks;
mod columns;
mod exposures;
mod features;
mod interactions;
mod items;
mod parquet_file;
mod target;
mod truth;
mod users;

pub use exposures::ExposureWriter;
pub use features::FeatureType;
pub use interactions::{InteractionColumns, InteractionDetails, InteractionWriter};
pub use items::ItemWriter;
pub use target::TableTarget;
pub use truth::TruthWriter;
pub use users::UserWriter;
