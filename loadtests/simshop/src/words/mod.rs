//! The words of a shop that does not exist.

pub(crate) mod brands;
pub(crate) mod departments;
pub(crate) mod people;
pub(crate) mod styles;
