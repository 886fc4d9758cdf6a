//! Experiments on files: checking definitions, and the results of an exposure log.

mod analyse;
pub mod args;
mod check;
mod exposures;
mod report;
mod rows;
mod table;

pub use analyse::{Analysis, analyse};
pub use check::check;
pub use report::report;

#[cfg(test)]
mod tests;
