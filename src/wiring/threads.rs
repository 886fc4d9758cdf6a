//! The threads that actors run on.

use std::sync::Arc;

use actix::{Arbiter, ArbiterHandle};
use parking_lot::Mutex;

/// Threads of one model's actors; they end with the last clone.
#[derive(Clone, Default)]
pub struct Threads(Arc<Stopped>);

#[derive(Default)]
struct Stopped(Mutex<Vec<ArbiterHandle>>);

impl Threads {
    /// A thread of its own.
    pub fn start(&self) -> ArbiterHandle {
        let handle = Arbiter::new().handle();
        self.0.0.lock().push(handle.clone());
        handle
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for thread in self.0.lock().iter() {
            thread.stop();
        }
    }
}
