//! The value formula: what an item is worth.
//!
//! `click * purchase * coalesce(item.price, 1)` is read once ([`ValueFormula::parse`]), its names are bound by
//! the crate that knows them ([`ValueFormula::names`]), and it is evaluated for each candidate without
//! allocating ([`ValueFormula::value`]).

mod error;
mod formula;
mod name;
mod operators;
mod rewrite;

pub use error::{FormulaError, MOST_OPERANDS};
pub use formula::ValueFormula;
pub use name::ValueName;
