//! The memory that bodies of requests in flight may take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes of a body that are not counted: a connection may hold as much without one.
pub(crate) const UNCOUNTED: usize = 64 << 10;

/// The memory that bodies of requests in flight take in a process, and what they were parsed into.
/// Clones share it.
///
/// ```
/// use plugrank_body::BodyMemory;
///
/// let memory = BodyMemory::new(1 << 20);
/// let mut held = memory.hold();
/// held.grow(900 << 10).unwrap();
/// assert!(memory.hold().grow(900 << 10).is_err());
/// drop(held);
/// assert_eq!(memory.used(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct BodyMemory(Arc<Sum>);

#[derive(Debug)]
struct Sum {
    limit: usize,
    used: AtomicUsize,
}

/// There is no room for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the bodies of requests in flight take all the memory they may, {} MiB (server.body_memory_mb)",
    limit >> 20
)]
pub struct NoRoom {
    /// What all of them may take, in bytes.
    pub limit: usize,
}

impl BodyMemory {
    /// `limit` bytes in all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Sum { limit, used: AtomicUsize::new(0) }))
    }

    /// What all bodies may take, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// What they take now, in bytes.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// What one request holds: nothing yet.
    #[must_use]
    pub fn hold(&self) -> HeldMemory {
        HeldMemory { memory: self.clone(), asked: 0, counted: 0 }
    }

    /// Whether one request would find room for this much now.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(crate) fn has_room(&self, bytes: usize) -> Result<(), NoRoom> {
        let limit = self.limit();
        let counted = bytes.saturating_sub(UNCOUNTED);
        let fits = counted == 0 || self.used().saturating_add(counted) <= limit;
        if fits { Ok(()) } else { Err(NoRoom { limit }) }
    }
}

/// What one request holds; given back when dropped.
#[derive(Debug)]
pub struct HeldMemory {
    memory: BodyMemory,
    asked: usize,
    counted: usize,
}

impl HeldMemory {
    /// Takes more.
    ///
    /// # Errors
    /// [`NoRoom`]; what was held before is still held.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let asked = self.asked.saturating_add(bytes);
        let more = asked.saturating_sub(UNCOUNTED) - self.counted;
        if more > 0 {
            let Sum { limit, used } = &*self.memory.0;
            let fits = |used: usize| used.checked_add(more).filter(|sum| sum <= limit);
            used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
                .map_err(|_| NoRoom { limit: *limit })?;
        }
        self.asked = asked;
        self.counted += more;
        Ok(())
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_are_not_counted_and_large_ones_to_the_byte() {
        let memory = BodyMemory::new(100);
        let mut small: Vec<HeldMemory> = (0..50).map(|_| memory.hold()).collect();
        for held in &mut small {
            held.grow(UNCOUNTED).unwrap();
        }
        assert_eq!(memory.used(), 0);
        small[0].grow(60).unwrap();
        assert_eq!(small[1].grow(41), Err(NoRoom { limit: 100 }));
        assert_eq!(memory.used(), 60, "a refusal holds nothing");
        assert_eq!(memory.has_room(UNCOUNTED + 41), Err(NoRoom { limit: 100 }));
        small[1].grow(40).unwrap();
        assert_eq!(small[2].grow(usize::MAX), Err(NoRoom { limit: 100 }));
        assert!(memory.has_room(UNCOUNTED).is_ok(), "a small one is always read");
        drop(small);
        assert_eq!(memory.used(), 0);
    }
}
