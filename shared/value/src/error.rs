//! What may be wrong with a formula.

/// Most names and numbers of a formula: as many are evaluated without allocating.
pub const MOST_OPERANDS: usize = 32;
/// Longest formula, in bytes.
pub(crate) const MOST_BYTES: usize = 1024;

/// A text that is no formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormulaError {
    /// It cannot be read.
    #[error("character {at}: {detail}")]
    Syntax {
        /// Where, counted in characters from 1.
        at: usize,
        /// What is wrong there.
        detail: String,
    },
    /// Operators and operands do not follow one another as they must.
    #[error("operators and operands do not fit together: {0}")]
    Order(String),
    /// It has too many names and numbers, or is too long.
    #[error(
        "it has {operands} names and numbers in {bytes} bytes; {MOST_OPERANDS} and {MOST_BYTES} are the most"
    )]
    Long {
        /// Names and numbers.
        operands: usize,
        /// Bytes.
        bytes: usize,
    },
}
