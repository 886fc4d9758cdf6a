//! Reading: parquet files as batches of checked rows.

mod batches;
mod cells;
mod interactions;
mod items;
mod kind;
mod repeats;
mod table;
mod truth;
mod users;

pub use batches::Batches;
pub(crate) use interactions::interactions;
pub(crate) use items::items;
pub(crate) use truth::truth;
pub(crate) use users::users;
