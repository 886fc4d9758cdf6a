//! Notices an id that comes twice.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

/// Ids seen so far, as 128-bit hashes: 16 bytes each however long the ids are. Among ten million
/// ids, two share a hash with a probability below 10^-24.
#[derive(Default)]
pub(crate) struct Repeats {
    first: RandomState,
    second: RandomState,
    seen: HashSet<u128>,
}

impl Repeats {
    /// Whether the id is seen for the first time.
    pub(crate) fn is_new(&mut self, id: &str) -> bool {
        let hash = u128::from(self.first.hash_one(id)) << 64 | u128::from(self.second.hash_one(id));
        self.seen.insert(hash)
    }
}
