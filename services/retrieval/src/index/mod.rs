//! Nearest neighbours over item vectors, and items clicked together.

mod ann;
pub(crate) mod pairs;
pub mod vector;

pub use ann::AnnIndex;
