//! Changes of one user or item, one after the other.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// Locks; ids that share one wait for each other.
const LOCKS: usize = 256;

/// Lets changes that read what they write over happen one after the other, by id. Within this process:
/// of two processes that change one user or item at a time, the later one counts.
pub(crate) struct ChangeTurns {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl ChangeTurns {
    pub(crate) fn new() -> Self {
        let locks = std::iter::repeat_with(Mutex::default).take(LOCKS).collect();
        Self { locks, hasher: RandomState::new() }
    }

    /// Waits until no other call changes what has this id.
    pub(crate) async fn turn(&self, id: &str) -> MutexGuard<'_, ()> {
        self.locks[self.hasher.hash_one(id) as usize % LOCKS].lock().await
    }
}
