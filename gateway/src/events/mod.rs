//! Events: their types, and what is checked of each.

pub(crate) mod check;
mod options;

pub(crate) use check::Checks;
pub use options::{EventTypeOptions, EventTypes, EventsOptions, UnknownItems};
