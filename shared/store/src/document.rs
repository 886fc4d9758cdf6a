//! Small documents that every process of a deployment shares, such as the experiments.

/// A document as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What was written.
    pub bytes: Vec<u8>,
    /// How often it was written, from 1. [`Store::put_document`](crate::Store::put_document) asks for it,
    /// so that no writer overwrites what another wrote meanwhile.
    pub revision: u64,
}
