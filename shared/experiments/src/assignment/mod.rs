//! Who gets which arm.
//!
//! Nothing is stored: a unit's arms follow from its id, the salts and the definitions, so every
//! process that has the same definitions gives the same answer.

mod assigner;
mod hash;
mod subject;

pub use assigner::{Assigner, Assignment, ForcedError};
pub use subject::{Subject, SubjectFeature, UserFeatures};
