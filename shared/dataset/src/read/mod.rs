//! Reading: parquet files, or folders of them, as batches of checked rows.

mod batches;
mod cells;
mod interactions;
mod items;
mod kind;
mod parts;
mod repeats;
mod table;
mod truth;
mod users;
mod values;

pub use batches::Batches;
pub(crate) use interactions::interactions;
pub(crate) use items::items;
pub(crate) use truth::truth;
pub(crate) use users::users;

use crate::DatasetError;

/// A table, or all that is wrong with its file and columns.
pub(crate) type Opened<T> = Result<Batches<T>, Vec<DatasetError>>;

/// What `dataset.json` says of the other files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether times are milliseconds.
    pub(crate) milliseconds: bool,
    /// Whether only clicks were recorded.
    pub(crate) clicks_only: bool,
}

/// The first of several errors.
pub(crate) fn first<T>(opened: Opened<T>) -> Result<Batches<T>, DatasetError> {
    opened.map_err(|mut errors| errors.swap_remove(0))
}
